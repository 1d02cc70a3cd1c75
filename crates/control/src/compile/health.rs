//! Probes and outlier detection of upstreams.

use std::sync::Arc;

use tollgate_config::{
    self as config, BodyMatch, Diagnostic, Ejection, Located, Percent, Probe as ProbeSetting, Start, Switch,
};
use tollgate_proxy::snapshot::Transport;
use tollgate_upstream::probes::{
    ExpectedBody, GrpcProbe, HttpProbe, HttpProbeSettings, TcpProbe, Thresholds,
};
use tollgate_upstream::{FailurePercentage, OutlierSettings, Probe, ProbePlan, SuccessRate};

use super::Compiler;
use super::predecessor::TransportPlan;
use crate::dial::UpstreamDial;

impl Compiler<'_> {
    /// The probes of an upstream; `None` after a finding.
    pub(super) fn probes(
        &mut self,
        health: &Located<config::Health>,
        plan: &TransportPlan,
        transport: &Transport,
    ) -> Option<ProbePlan> {
        let probe: Arc<dyn Probe> = match &health.probe {
            ProbeSetting::Tcp(tcp) if tcp.tls => {
                Arc::new(TcpProbe::default().over(Arc::new(dial(transport))))
            }
            ProbeSetting::Tcp(_) => Arc::new(TcpProbe::default()),
            ProbeSetting::Grpc(grpc) => {
                let probe = GrpcProbe::new(grpc.service.as_str());
                let probe = probe.over(Arc::new(dial(transport)), transport.tls.is_some());
                Arc::new(grpc.authority.iter().fold(probe, |probe, host| probe.authority(host.as_str())))
            }
            ProbeSetting::Http(http) => {
                let probe = self.http_probe(http, health)?;
                let tls = self.http1_connector(plan, transport);
                Arc::new(probe.over(Arc::new(UpstreamDial { tls, ..dial(transport) })))
            }
        };
        let every = health.every.get();
        Some(ProbePlan {
            probe,
            interval: every,
            fast: health.fast.map_or(every, |fast| fast.get()),
            slow: health.slow.map_or(every, |slow| slow.get()),
            jitter_percent: whole_percent(health.jitter),
            timeout: health.timeout.get(),
            thresholds: Thresholds { rise: health.rise.get(), fall: health.fall.get() },
            // The document's ports are those that there are.
            port: health.port.and_then(|port| u16::try_from(port.get()).ok()),
            start_down: health.start == Start::Down,
        })
    }

    fn http_probe(
        &mut self,
        http: &config::HttpProbe,
        health: &Located<config::Health>,
    ) -> Option<HttpProbe> {
        let body = match &http.expect.body {
            Some(body) => Some(self.expected_body(body)?.within(http.expect.within.bytes() as usize)),
            None => None,
        };
        let headers = http.headers.iter();
        let settings = HttpProbeSettings {
            method: http.method.to_string(),
            path: http.path.as_str().to_owned(),
            host: http.host.as_ref().map(|h| h.as_str().to_owned()),
            headers: headers.map(|(n, v)| (n.value.to_string(), v.reveal().to_owned())).collect(),
            expected: http.expect.statuses.iter().map(|s| s.first()..=s.last()).collect(),
            body,
        };
        let probe = HttpProbe::new(settings);
        probe.map_err(|error| self.diagnostics.push(Diagnostic::error(health.origin, error.to_string()))).ok()
    }

    fn expected_body(&mut self, body: &Located<BodyMatch>) -> Option<ExpectedBody> {
        match &body.value {
            BodyMatch::Text(text) => Some(ExpectedBody::text(text)),
            BodyMatch::Regex(expression) => {
                let compiled = ExpectedBody::expression(expression.as_str());
                let wrong = |error| format!("the expression `{expression}` cannot be used: {error}");
                compiled
                    .map_err(|error| self.diagnostics.push(Diagnostic::error(body.origin, wrong(error))))
                    .ok()
            }
        }
    }
}

/// Connects as requests do.
fn dial(transport: &Transport) -> UpstreamDial {
    UpstreamDial { proxy_header: transport.proxy_header, tls: transport.tls.clone() }
}

/// Outlier detection as the document has it.
pub(super) fn outliers(ejection: &Switch<Ejection>) -> OutlierSettings {
    let Switch::On(ejection) = ejection else { return OutlierSettings::off() };
    let success_rate = ejection.success_rate.on().map(|rule| SuccessRate {
        deviations_thousandths: rule.stdev.as_thousandths(),
        margin_basis_points: u32::from(rule.margin.basis_points()),
        min_endpoints: rule.min_endpoints.get(),
        min_requests: rule.min_requests.get(),
    });
    let failure_percentage = ejection.failure_percentage.on().map(|rule| FailurePercentage {
        threshold_basis_points: u32::from(rule.threshold.basis_points()),
        min_endpoints: rule.min_endpoints.get(),
        min_requests: rule.min_requests.get(),
    });
    OutlierSettings {
        consecutive_5xx: ejection.consecutive_5xx.get(),
        consecutive_gateway_failures: ejection.consecutive_gateway_failures.get(),
        consecutive_local_failures: ejection.consecutive_local_failures.get(),
        success_rate,
        failure_percentage,
        interval_ms: ejection.interval.get().as_millis() as u64,
        base_ejection_ms: ejection.base.get().as_millis() as u64,
        max_ejection_ms: ejection.max.get().as_millis() as u64,
        jitter_percent: whole_percent(ejection.jitter),
        max_ejected_percent: whole_percent(ejection.max_percent),
        shadow: ejection.shadow,
    }
}

fn whole_percent(percent: Percent) -> u32 {
    u32::from(percent.basis_points()) / 100
}

#[cfg(test)]
mod tests {
    use tollgate_config::{MemoryFiles, Switch, parse_str};
    use tollgate_upstream::{FailurePercentage, OutlierSettings, SuccessRate};

    use super::outliers;

    fn settings(ejection: &str) -> OutlierSettings {
        let text = format!(
            "version: 1\nlisten: \":1\"\nupstreams: {{ u: {{ endpoints: [\"127.0.0.1:1\"]{ejection} }} }}\n\
             routes: [{{ path: /, to: u }}]\n"
        );
        let document =
            parse_str("t.yaml", &text, &MemoryFiles::default(), &|_| None).document.expect("it is valid");
        let (_, upstream) = document.upstreams.iter().next().expect("it has one");
        outliers(&upstream.ejection.value)
    }

    #[test]
    fn what_the_document_leaves_out_is_as_without_a_document() {
        assert_eq!(settings(""), OutlierSettings::default());
        assert_eq!(settings(", ejection: {}"), OutlierSettings::default());
        assert_eq!(settings(", ejection: none"), OutlierSettings::off());
        assert_eq!(outliers(&Switch::Off), OutlierSettings::off());
        let rules = settings(", ejection: { success_rate: true, failure_percentage: true }");
        let expected = OutlierSettings {
            success_rate: Some(SuccessRate::default()),
            failure_percentage: Some(FailurePercentage::default()),
            ..OutlierSettings::default()
        };
        assert_eq!(rules, expected);
    }
}

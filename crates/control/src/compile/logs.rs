//! Access logs: names become what the workers compare and write.

use std::io::IsTerminal;

use tollgate_config::{
    AccessLog, Diagnostic, FaultSide, LogCondition, LogDestination, LogFormat, LogFormatName, LogQuery,
    LogTemplate, nearest,
};
use tollgate_decision::{Reason, Side};
use tollgate_routing::RouteSpec;
use tollgate_telemetry::access::{Conditions, Format, LogPlan, LogRules, QueryRule, Template, TemplateError};
use tollgate_telemetry::log_writer::Destination;

use super::Compiler;

impl Compiler<'_> {
    /// The document's logs. What is wrong is reported and left out.
    pub(super) fn logs(&mut self, routes: &[RouteSpec]) -> LogPlan {
        let document = self.document;
        let logs = document.access_log.on().map_or(&[][..], |logs| logs);
        LogPlan::new(logs.iter().filter_map(|log| self.log(&log.value, routes)).collect())
    }

    fn log(&mut self, log: &AccessLog, routes: &[RouteSpec]) -> Option<LogRules> {
        let destination = match &log.destination {
            LogDestination::Stdout(_) => Destination::Stdout,
            LogDestination::File(path) => Destination::File(path.value.clone().into()),
        };
        let format = self.log_format(log.format.as_ref(), &destination)?;
        let conditions = log.when.iter().map(|condition| self.log_condition(&condition.value, routes));
        let mut rules = LogRules::new(destination, format)
            .when(conditions.collect())
            .sample(log.sample.basis_points())
            .query(match log.query {
                LogQuery::Hide => QueryRule::Hide,
                LogQuery::Names => QueryRule::Names,
                LogQuery::Keep => QueryRule::Keep,
            });
        for name in log.request_headers.iter() {
            rules = rules.request_header(name.value.as_str());
        }
        for name in log.response_headers.iter() {
            rules = rules.response_header(name.value.as_str());
        }
        Some(rules)
    }

    fn log_format(&mut self, format: Option<&LogFormat>, destination: &Destination) -> Option<Format> {
        let terminal = *destination == Destination::Stdout && std::io::stdout().is_terminal();
        let pretty = || Format::Pretty { colour: terminal && std::env::var_os("NO_COLOR").is_none() };
        Some(match format {
            None if terminal => pretty(),
            None | Some(LogFormat::Named(LogFormatName::Json)) => Format::Json,
            Some(LogFormat::Named(LogFormatName::Pretty)) => pretty(),
            Some(LogFormat::Named(LogFormatName::Common)) => Format::Common,
            Some(LogFormat::Named(LogFormatName::Combined)) => Format::Combined,
            Some(LogFormat::Template(template)) => Format::Template(self.log_template(template)?),
        })
    }

    fn log_template(&mut self, template: &LogTemplate) -> Option<Template> {
        let error = match Template::compile(&template.template.value) {
            Ok(template) => return Some(template),
            Err(error) => error,
        };
        let finding = Diagnostic::error(template.template.origin, error.to_string());
        self.diagnostics.push(match &error {
            TemplateError::UnknownField(name) => {
                finding.mend(match nearest(name, Template::FIELDS.iter().copied()) {
                    Some(field) => format!("did you mean `{{{field}}}`?"),
                    None => "docs/logging.md lists the fields; headers are `{request_header.NAME}` and \
                             `{response_header.NAME}`"
                        .to_owned(),
                })
            }
            _ => finding,
        });
        None
    }

    fn log_condition(&mut self, condition: &LogCondition, routes: &[RouteSpec]) -> Conditions {
        let mut compiled = Conditions {
            statuses: condition.status.iter().map(|range| (range.first(), range.last())).collect(),
            at_least_us: condition.slower.map_or(0, |slower| slower.get().as_micros() as u64),
            ..Conditions::default()
        };
        for code in condition.reason.iter() {
            match Reason::ALL.iter().find(|reason| reason.code() == code.value) {
                Some(reason) => compiled.reasons.insert(*reason),
                None => {
                    let near = nearest(&code.value, Reason::ALL.iter().map(|reason| reason.code()));
                    let mend = near.map_or_else(
                        || "docs/reasons.md lists them".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    );
                    let message = format!("there is no reason `{}`", code.value);
                    self.diagnostics.push(Diagnostic::error(code.origin, message).mend(mend));
                }
            }
        }
        for side in condition.side.iter() {
            compiled.sides.insert(match side {
                FaultSide::Nobody => Side::Nobody,
                FaultSide::Client => Side::Client,
                FaultSide::Upstream => Side::Upstream,
                FaultSide::Proxy => Side::Proxy,
            });
        }
        for route in condition.route.iter() {
            if !routes.iter().any(|spec| spec.name == route.value) {
                let message = format!("there is no route `{}`", route.value);
                let mut finding = Diagnostic::error(route.origin, message);
                if let Some(near) = nearest(&route.value, routes.iter().map(|spec| spec.name.as_str())) {
                    finding = finding.mend(format!("did you mean `{near}`?"));
                }
                self.diagnostics.push(finding);
            }
            compiled.routes.push(route.value.as_str().into());
        }
        compiled
    }
}

//! The state of a running instance as text: health at a glance first, then the figures.

mod overload;

use tollgate_admin::report::{
    AcmeCertificate, CertificateStatus, EndpointState, EndpointStatus, Latency, RouteStatus, SourceStatus,
    Status, UpstreamStatus,
};

use crate::terminal::figures::{age, count, latency};
use crate::terminal::table::{Side, Table};
use crate::terminal::{Tone, painted};

/// How many names of a certificate are shown.
const NAMES: usize = 3;

/// Whether the process wants traffic and runs the document that it was last given.
pub fn is_well(status: &Status) -> bool {
    !status.process.draining && !last_reload_failed(status)
}

fn last_reload_failed(status: &Status) -> bool {
    status.config.last_reload.as_ref().is_some_and(|reload| reload.problem.is_some())
}

/// All of it.
pub fn text(status: &Status, colours: bool) -> String {
    let parts = [
        head(status, colours),
        listeners(status).text(colours),
        routes(status, colours),
        endpoints(&status.upstreams).text(colours),
        sources(&status.sources).text(colours),
        overload::table(&status.upstreams).text(colours),
        acme(&status.acme).text(colours),
        certificates(&status.certificates).text(colours),
        failures(status).text(colours),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

/// One word on how it does.
pub fn state(status: &Status) -> (&'static str, Tone) {
    if status.process.draining {
        ("draining", Tone::Doubtful)
    } else if status.upstreams.iter().any(|upstream| upstream.vacancy.is_some()) {
        ("failing", Tone::Bad)
    } else if warnings(status).is_empty() {
        ("serving", Tone::Good)
    } else {
        ("serving", Tone::Doubtful)
    }
}

fn head(status: &Status, colours: bool) -> String {
    let (build, process, config) = (&status.build, &status.process, &status.config);
    let (word, tone) = state(status);
    let workers = if process.workers == 1 { "worker" } else { "workers" };
    let mut text = format!(
        "{} tollgate {}, pid {}, up {}, {} {workers}\n  document {} from {}, for {}\n",
        painted(&format!("● {word}"), tone, colours),
        build.version,
        process.pid,
        age(process.uptime_ms),
        process.workers,
        config.number,
        config.source,
        age(config.age_ms),
    );
    for warning in warnings(status) {
        text.push_str(&painted(&format!("  ! {warning}"), Tone::Doubtful, colours));
        text.push('\n');
    }
    text
}

/// What an operator should know first, in words.
pub fn warnings(status: &Status) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(reload) = &status.config.last_reload
        && let Some(problem) = &reload.problem
    {
        warnings.push(format!("the last {} ({}) failed: {problem}", reload.occasion, reload.at));
    }
    if let Some(left) = status.config.on_trial_ms {
        let number = status.config.number;
        warnings.push(format!(
            "document {number} is on trial, and taken back in {} unless it is confirmed",
            age(left)
        ));
    }
    for change in &status.config.needs_restart {
        warnings.push(change.trim_start_matches("! ").to_owned());
    }
    warnings.extend(status.config.stuck_files.iter().cloned());
    for upstream in &status.upstreams {
        if let Some(vacancy) = &upstream.vacancy {
            warnings.push(format!("{} has nobody to send to: {vacancy}", upstream.name));
        } else if upstream.panicking {
            let usable = upstream
                .endpoints
                .iter()
                .filter(|e| matches!(e.state, EndpointState::Usable | EndpointState::Spare))
                .count();
            warnings.push(format!(
                "{} has only {usable} of {} endpoints usable, so unhealthy ones are used too",
                upstream.name,
                upstream.endpoints.len()
            ));
        }
        warnings.extend(overload::warning(upstream));
    }
    for source in &status.sources {
        if let Some(problem) = &source.problem {
            let SourceStatus { upstream, source, .. } = source;
            warnings.push(format!("{upstream} keeps the endpoints that it had from {source}: {problem}"));
        }
    }
    for certificate in &status.acme {
        let failed = certificate.last_error.as_ref().filter(|_| certificate.failures > 0);
        if let (None, Some(error)) = (&certificate.expires, failed) {
            warnings.push(format!("there is no certificate for {}: {}", name(certificate), error.problem));
        } else if let Some(error) = failed {
            warnings.push(format!(
                "the certificate for {} is not renewed: {}",
                name(certificate),
                error.problem
            ));
        }
    }
    warnings.extend(status.certificates.iter().flat_map(|certificate| certificate.warnings.iter().cloned()));
    let lost = status.process.log_records_lost;
    if lost > 0 {
        warnings.push(format!("{} access log records were lost", count(lost)));
    }
    if !status.build.optimised {
        warnings.push("this is a debug build: it needs many times the processor".to_owned());
    }
    warnings
}

fn listeners(status: &Status) -> Table {
    let mut table = Table::new(&[
        ("LISTENER", Side::Left),
        ("ADDRESS", Side::Left),
        ("OPEN", Side::Right),
        ("ACCEPTED", Side::Right),
    ]);
    for listener in &status.listeners {
        let cells =
            [listener.name.clone(), listener.address.clone(), count(listener.open), count(listener.accepted)];
        table.row(cells.map(|cell| (cell, Tone::Plain)));
    }
    table
}

fn routes(status: &Status, colours: bool) -> String {
    let mut table = Table::new(&[
        ("ROUTE", Side::Left),
        ("REQUESTS", Side::Right),
        ("2XX", Side::Right),
        ("3XX", Side::Right),
        ("4XX", Side::Right),
        ("5XX", Side::Right),
        ("NONE", Side::Right),
        ("P50", Side::Right),
        ("P99", Side::Right),
    ]);
    for route in &status.routes.list {
        table.row(route_row(route));
    }
    let mut text = table.text(colours);
    if status.routes.left_out > 0 {
        text.push_str(&format!("and {} quieter routes\n", count(status.routes.left_out as u64)));
    }
    text
}

fn route_row(route: &RouteStatus) -> Vec<(String, Tone)> {
    let classes = &route.classes;
    let tone_if = |count: u64, tone| if count > 0 { tone } else { Tone::Plain };
    let figure = |number: u64, tone| (count(number), tone_if(number, tone));
    vec![
        (route_name(route).to_owned(), Tone::Plain),
        figure(route.exchanges, Tone::Plain),
        figure(classes.informational + classes.successful, Tone::Plain),
        figure(classes.redirects, Tone::Plain),
        figure(classes.client_errors, Tone::Doubtful),
        figure(classes.server_errors, Tone::Bad),
        figure(classes.none, Tone::Plain),
        (quantile(&route.latency, 0.5), Tone::Plain),
        (quantile(&route.latency, 0.99), Tone::Plain),
    ]
}

/// What a route is called, also that of the requests without one.
pub fn route_name(route: &RouteStatus) -> &str {
    route.name.as_deref().unwrap_or("(no route)")
}

/// A quantile for people.
pub fn quantile(durations: &Latency, share: f64) -> String {
    durations.quantile(share).map_or("–".to_owned(), latency)
}

/// The sign and tone of an endpoint's state.
pub fn sign(state: EndpointState) -> (&'static str, Tone) {
    match state {
        EndpointState::Usable => ("●", Tone::Good),
        EndpointState::Down | EndpointState::Ejected => ("✗", Tone::Bad),
        EndpointState::Spare => ("○", Tone::Good),
        EndpointState::Drained | EndpointState::Removed | EndpointState::NoWeight => ("○", Tone::Doubtful),
    }
}

fn endpoints(upstreams: &[UpstreamStatus]) -> Table {
    endpoint_table(upstreams.iter().flat_map(|upstream| &upstream.endpoints))
}

/// Endpoints with what is known of them.
pub fn endpoint_table<'e>(endpoints: impl Iterator<Item = &'e EndpointStatus>) -> Table {
    let mut table = Table::new(&[
        ("UPSTREAM", Side::Left),
        ("ENDPOINT", Side::Left),
        ("STATE", Side::Left),
        ("WEIGHT", Side::Right),
        ("IN FLIGHT", Side::Right),
        ("FROM", Side::Left),
        ("WHY", Side::Left),
    ]);
    let mut upstream = "";
    for endpoint in endpoints {
        let (sign, tone) = sign(endpoint.state);
        // A name with several addresses is told apart by them.
        let name = if endpoint.address == endpoint.endpoint {
            endpoint.endpoint.clone()
        } else {
            format!("{} ({})", endpoint.endpoint, endpoint.address)
        };
        let weight = if endpoint.weight == endpoint.document_weight {
            (endpoint.weight.to_string(), Tone::Plain)
        } else {
            let origin = endpoint.origin.as_deref().unwrap_or("document");
            (format!("{} ({origin}: {})", endpoint.weight, endpoint.document_weight), Tone::Doubtful)
        };
        let shown = if upstream == endpoint.upstream { "" } else { &endpoint.upstream };
        upstream = &endpoint.upstream;
        table.row([
            (shown.to_owned(), Tone::Plain),
            (name, Tone::Plain),
            (format!("{sign} {}", endpoint.state), tone),
            weight,
            overload::in_flight(endpoint),
            (endpoint.origin.clone().unwrap_or_default(), Tone::Quiet),
            (notes(endpoint), Tone::Quiet),
        ]);
    }
    table
}

/// How an endpoint takes part, where that is worth a word, and why it gets no requests.
fn notes(endpoint: &EndpointStatus) -> String {
    let part = Some(endpoint.part.to_string()).filter(|part| !part.is_empty());
    part.into_iter().chain(endpoint.why.clone()).collect::<Vec<_>>().join(": ")
}

/// Where endpoints come from.
fn sources(sources: &[SourceStatus]) -> Table {
    let mut table = Table::new(&[
        ("SOURCE OF", Side::Left),
        ("SOURCE", Side::Left),
        ("ENDPOINTS", Side::Right),
        ("LAST ANSWER", Side::Right),
        ("FAILED", Side::Right),
        ("PROBLEM", Side::Left),
    ]);
    for source in sources {
        let tone = if source.problem.is_some() { Tone::Doubtful } else { Tone::Plain };
        let endpoints = source.endpoints.map_or("–".to_owned(), |endpoints| count(endpoints as u64));
        let answered = source.age_ms.map_or("never".to_owned(), |ms| format!("{} ago", age(ms)));
        table.row([
            (source.upstream.clone(), Tone::Plain),
            (source.source.clone(), tone),
            (endpoints, Tone::Plain),
            (answered, tone),
            (count(source.failures), Tone::Plain),
            (source.problem.clone().unwrap_or_default(), tone),
        ]);
    }
    table
}

/// Certificates by ACME.
fn acme(certificates: &[AcmeCertificate]) -> Table {
    let mut table = Table::new(&[
        ("ACME", Side::Left),
        ("STATE", Side::Left),
        ("EXPIRES", Side::Left),
        ("NEXT ORDER", Side::Left),
        ("FAILED", Side::Right),
    ]);
    for certificate in certificates {
        let (state, tone) = match (&certificate.expires, certificate.ordering, certificate.failures) {
            (Some(_), false, 0) => ("● valid", Tone::Good),
            (Some(_), false, _) => ("● not renewed", Tone::Doubtful),
            (Some(_), true, _) => ("● renewing", Tone::Good),
            (None, true, _) => ("○ ordering", Tone::Doubtful),
            (None, false, 0) => ("○ waiting", Tone::Doubtful),
            (None, false, _) => ("✗ missing", Tone::Bad),
        };
        let expires = certificate.expires.clone().unwrap_or_else(|| "–".to_owned());
        table.row([
            (name(certificate).to_owned(), Tone::Plain),
            (state.to_owned(), tone),
            (expires, Tone::Plain),
            (certificate.next_order.clone(), Tone::Plain),
            (count(certificate.failures.into()), tone),
        ]);
    }
    table
}

fn certificates(certificates: &[CertificateStatus]) -> Table {
    let mut table = Table::new(&[
        ("CERTIFICATE FOR", Side::Left),
        ("EXPIRES", Side::Left),
        ("ISSUER", Side::Left),
        ("KEY", Side::Left),
        ("LISTENERS", Side::Left),
        ("FROM", Side::Left),
    ]);
    for certificate in certificates {
        let CertificateStatus { names, issuer, key, id, .. } = certificate;
        let shown = names.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
        let names = match names.len().saturating_sub(NAMES) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        };
        let tone = if certificate.warnings.is_empty() { Tone::Plain } else { Tone::Doubtful };
        table.row([
            (names, Tone::Plain),
            (certificate.expires.clone(), tone),
            (issuer.clone(), Tone::Plain),
            (key.clone(), Tone::Plain),
            (certificate.listeners.join(", "), Tone::Plain),
            (id.clone(), Tone::Quiet),
        ]);
    }
    table
}

/// The name that a certificate goes by.
fn name(certificate: &AcmeCertificate) -> &str {
    certificate.names.first().map_or("", String::as_str)
}

fn failures(status: &Status) -> Table {
    let mut table =
        Table::new(&[("ENDED BECAUSE", Side::Left), ("AT FAULT", Side::Left), ("EXCHANGES", Side::Right)]);
    let mut failures: Vec<_> = status.exchanges.iter().filter(|reason| reason.side != "nobody").collect();
    failures.sort_by_key(|reason| std::cmp::Reverse(reason.count));
    for reason in failures {
        let tone = if reason.side == "client" { Tone::Plain } else { Tone::Bad };
        table.row([
            (reason.reason.clone(), tone),
            (reason.side.clone(), Tone::Plain),
            (count(reason.count), Tone::Plain),
        ]);
    }
    table
}

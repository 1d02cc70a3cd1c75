//! What compiling finds in access logs.

use tollgate_config::{DiskFiles, parse_str, render};
use tollgate_control::compile;
use tollgate_control::resolve::NoResolver;
use tollgate_telemetry::access::LogPlan;
use tollgate_telemetry::log_writer::Destination;
use tollgate_upstream::HealthEvents;

fn compiled(logs: &str) -> Result<LogPlan, String> {
    let text = format!(
        "version: 1\nlisten: \":0\"\naccess_log: {logs}\n\
         routes: [{{ name: shop, path: /, respond: 204 }}, {{ path: /b, respond: 204 }}]\n"
    );
    let loaded = parse_str("tollgate.yaml", &text, &DiskFiles, &|_| None);
    let document = loaded.document.ok_or_else(|| render(&loaded.diagnostics, &loaded.sources, false))?;
    let compiled = compile(&document, &NoResolver, &HealthEvents::unheard());
    let findings = render(&compiled.diagnostics, &loaded.sources, false);
    compiled.snapshot.map(|snapshot| LogPlan::clone(&snapshot.logs)).ok_or(findings)
}

#[test]
fn logs_go_where_the_document_says() {
    for (logs, destinations) in [
        ("none", vec![]),
        ("[]", vec![]),
        ("stdout", vec![Destination::Stdout]),
        (
            "{ file: a.log, when: { route: [shop, \"routes[1]\"], reason: no_route } }",
            vec![Destination::File("a.log".into())],
        ),
        (
            "[stdout, { file: a.log, format: { template: \"{status}\" } }]",
            vec![Destination::Stdout, Destination::File("a.log".into())],
        ),
    ] {
        let plan = compiled(logs).unwrap();
        let found: Vec<_> = plan.logs().iter().map(|log| log.destination().clone()).collect();
        assert_eq!(found, destinations, "{logs}");
    }
}

#[test]
fn names_that_are_not_known_are_errors_with_the_nearest_known() {
    for (logs, parts) in [
        (
            "{ stdout: {}, format: { template: \"{statsu}\" } }",
            ["`{statsu}` is not known", "did you mean `{status}`?"],
        ),
        ("{ stdout: {}, format: { template: \"{x-y-z}\" } }", ["`{x-y-z}` is not known", "docs/logging.md"]),
        ("{ stdout: {}, format: { template: \"{status\" } }", ["has no `}`", "`{{`"]),
        (
            "{ stdout: {}, when: { reason: no_rute } }",
            ["there is no reason `no_rute`", "did you mean `no_route`?"],
        ),
        (
            "{ stdout: {}, when: [{ side: client }, { route: shoop }] }",
            ["there is no route `shoop`", "did you mean `shop`?"],
        ),
    ] {
        let findings = compiled(logs).unwrap_err();
        assert!(parts.iter().all(|part| findings.contains(part)), "{logs}:\n{findings}");
    }
}

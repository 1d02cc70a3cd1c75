use tollgate_policy::{Gate, Policy, Stage};

use super::{Hsts, Preset, SecurityHeaders, Settings};
use crate::sample::{Sample, response};

fn over(settings: &Settings, tls: bool) -> Gate {
    let policy = SecurityHeaders::new(settings).unwrap();
    assert!(policy.stage() == Stage::Admit && policy.is_repeatable());
    let mut request = Sample::new("GET /", "");
    request.tls = tls;
    request.ask(&policy).1
}

/// The lines that a response gets whose origin has sent fields of these names.
fn beside(gate: &Gate, present: &[&str]) -> String {
    let mut lines = gate.response.lines().to_vec();
    let has = |name: &[u8]| present.iter().any(|present| present.as_bytes().eq_ignore_ascii_case(name));
    gate.response.write_defaults(&mut lines, has);
    String::from_utf8(lines).unwrap()
}

#[test]
fn the_preset_fills_in_what_the_origin_does_not_say() {
    let gate = over(&Settings::default(), true);
    assert_eq!(
        response(&gate),
        "X-Content-Type-Options: nosniff\r\nReferrer-Policy: strict-origin-when-cross-origin\r\n\
         X-Frame-Options: SAMEORIGIN\r\nX-Permitted-Cross-Domain-Policies: none\r\n"
    );
    let own = beside(&gate, &["x-frame-options", "referrer-policy"]);
    assert_eq!(own, "X-Content-Type-Options: nosniff\r\nX-Permitted-Cross-Domain-Policies: none\r\n");
    for name in ["server", "x-powered-by", "x-aspnet-version"] {
        assert!(gate.response.replaces(name), "{name}");
    }
    assert!(!gate.response.replaces("x-frame-options"), "the origin's would go");
}

#[test]
fn no_preset_speaks_of_framing_where_it_would_overrule_the_origin() {
    for preset in [Preset::Basic, Preset::Strict] {
        let says = preset.fields();
        assert!(says.iter().all(|(_, value)| !value.contains("frame-ancestors")));
        assert!(says.iter().any(|(name, _)| *name == "X-Frame-Options"));
    }
}

#[test]
fn fields_can_be_said_otherwise_left_out_and_enforced() {
    let fields = vec![
        ("x-frame-options".to_owned(), Some("DENY".to_owned())),
        ("Referrer-Policy".to_owned(), None),
        ("X-Robots-Tag".to_owned(), Some("noindex".to_owned())),
    ];
    let settings = Settings { fields, hide_software: false, ..Settings::default() };
    let gate = over(&settings, true);
    let expected = "X-Content-Type-Options: nosniff\r\nX-Permitted-Cross-Domain-Policies: none\r\n\
                    x-frame-options: DENY\r\nX-Robots-Tag: noindex\r\n";
    assert_eq!(response(&gate), expected);
    assert!(!gate.response.replaces("server"));
    let gate = over(&Settings { overwrite: true, ..settings }, true);
    assert_eq!(beside(&gate, &["X-Frame-Options"]), expected);
    assert!(gate.response.replaces("x-frame-options") && !gate.response.replaces("referrer-policy"));
    assert_eq!(response(&over(&Settings { preset: Preset::None, ..Settings::default() }, true)), "");
}

#[test]
fn hsts_is_said_over_tls_only() {
    let hsts = Hsts { max_age_s: 31_536_000, include_subdomains: true, preload: false };
    let settings = Settings { hsts: Some(hsts), preset: Preset::None, ..Settings::default() };
    let told = "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n";
    let gate = over(&settings, true);
    assert_eq!(response(&gate), told);
    assert!(gate.response.replaces("strict-transport-security"), "two of them would be a mistake");
    assert_eq!(response(&over(&settings, false)), "");
}

#[test]
fn fields_that_cannot_be_sent_are_refused() {
    for (name, value, problem) in [
        ("X Y", "1", "not the name"),
        ("X-Y", "1\r\nSet-Cookie: a=b", "cannot be the value"),
        ("X-Y", " 1", "cannot be the value"),
        ("strict-transport-security", "max-age=1", "hsts"),
        ("x-z", "1", "twice"),
    ] {
        let fields = [("X-Z", "1"), (name, value)].map(|(n, v)| (n.to_owned(), Some(v.to_owned())));
        let settings = Settings { fields: fields.into(), ..Settings::default() };
        let wrong = SecurityHeaders::new(&settings).unwrap_err();
        assert_eq!((wrong.setting, wrong.index), ("fields", 1));
        assert!(wrong.problem.contains(problem), "{wrong}");
    }
}

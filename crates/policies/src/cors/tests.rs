use tollgate_decision::Reason;
use tollgate_policy::{Policy, Stage, Verdict};

use super::{Cors, Settings};
use crate::sample::{Sample, response};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

fn app() -> Settings {
    Settings {
        origins: words(&["https://www.foo.com", "https://*.bar.com"]),
        methods: words(&["GET", "OPTIONS"]),
        headers: words(&["x-header-1", "x-header-2"]),
        expose: words(&["x-header-3", "x-header-4"]),
        credentials: true,
        max_age_s: 3600,
    }
}

fn preflight(settings: &Settings, fields: &str) -> (String, Option<String>) {
    let cors = Cors::new(settings).unwrap();
    let (verdict, gate) = Sample::new("OPTIONS /a", fields).ask(&cors);
    let Verdict::Answer(answer) = verdict else { panic!("{verdict:?}") };
    assert_eq!((answer.status, answer.reason), (204, Some(Reason::CorsPreflight)));
    assert!(gate.response.is_empty() && answer.body.is_empty() && answer.content_type.is_none());
    let fields = String::from_utf8(answer.fields.lines().to_vec()).unwrap();
    (fields, answer.note.map(|note| note.into_owned()))
}

fn actual(settings: &Settings, fields: &str) -> String {
    let cors = Cors::new(settings).unwrap();
    let (verdict, gate) = Sample::new("GET /a", fields).ask(&cors);
    assert!(matches!(verdict, Verdict::Continue(None)), "{verdict:?}");
    for name in super::settings::OWN_FIELDS {
        assert!(gate.response.replaces(name), "{name} of the origin stays");
    }
    assert!(!gate.response.replaces("vary"), "the origin's Vary goes");
    response(&gate)
}

const VARY: &str = "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n";

#[test]
fn a_preflight_of_a_known_page_is_told_what_it_may_ask_for() {
    for origin in ["https://www.foo.com", "https://www.bar.com", "https://xpto.www.bar.com"] {
        let asks = format!("Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\n");
        let expected = format!(
            "{VARY}Access-Control-Allow-Credentials: true\r\n\
             Access-Control-Expose-Headers: x-header-3, x-header-4\r\n\
             Access-Control-Allow-Methods: GET, OPTIONS\r\n\
             Access-Control-Allow-Headers: x-header-1, x-header-2\r\n\
             Access-Control-Max-Age: 3600\r\n\
             Access-Control-Allow-Origin: {origin}\r\n"
        );
        assert_eq!(preflight(&app(), &asks), (expected, None));
    }
}

#[test]
fn a_preflight_of_a_foreign_page_is_answered_without_any_permission() {
    for origin in ["https://foobar.com", "null", "https://bar.com", "https://www.bar.com.evil"] {
        let asks = format!("Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\n");
        let refused = (VARY.to_owned(), Some("the origin is not allowed".to_owned()));
        assert_eq!(preflight(&app(), &asks), refused);
    }
    let asks = "Origin: https://www.foo.com\r\nAccess-Control-Request-Method: GET, PUT\r\n";
    assert_eq!(preflight(&app(), asks).0, VARY);
}

#[test]
fn stars_are_told_as_they_are_without_credentials() {
    let all = Settings { origins: words(&["*"]), methods: words(&["*"]), ..Settings::default() };
    let all = Settings { headers: words(&["*", "Authorization"]), expose: words(&["*"]), ..all };
    let asks = "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n";
    let expected = format!(
        "{VARY}Access-Control-Expose-Headers: *\r\nAccess-Control-Allow-Methods: *\r\n\
         Access-Control-Allow-Headers: *, Authorization\r\nAccess-Control-Max-Age: 5\r\n\
         Access-Control-Allow-Origin: *\r\n"
    );
    assert_eq!(preflight(&all, asks).0, expected);
    // The same for everybody, so that a cache may keep it.
    for fields in ["", "Origin: https://a.example\r\n", "Origin: null\r\n"] {
        let told = "Access-Control-Expose-Headers: *\r\nAccess-Control-Allow-Origin: *\r\n";
        assert_eq!(actual(&all, fields), told);
    }
}

#[test]
fn with_credentials_a_star_echoes_what_is_asked_for() {
    let all = Settings { origins: words(&["*"]), methods: words(&["*"]), ..Settings::default() };
    let all = Settings { headers: words(&["*"]), credentials: true, ..all };
    let asks = "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n\
                Access-Control-Request-Headers: x-a,,x-b \r\naccess-control-request-headers: x-c\r\n";
    let expected = format!(
        "{VARY}Access-Control-Allow-Credentials: true\r\nAccess-Control-Max-Age: 5\r\n\
         Access-Control-Allow-Origin: https://a.example\r\nAccess-Control-Allow-Methods: PUT\r\n\
         Access-Control-Allow-Headers: x-a, x-b, x-c\r\n"
    );
    assert_eq!(preflight(&all, asks).0, expected);
    let told = "Vary: Origin\r\nAccess-Control-Allow-Credentials: true\r\n\
                Access-Control-Allow-Origin: https://a.example\r\n";
    assert_eq!(actual(&all, "Origin: https://a.example\r\n"), told);
    let asks = "Origin: null\r\nAccess-Control-Request-Method: PUT\r\n";
    assert_eq!(preflight(&all, asks).0, VARY, "attack: a sandboxed frame asks with cookies");
}

#[test]
fn attack_names_that_are_none_or_too_many_are_not_echoed() {
    let all = Settings { origins: words(&["*"]), headers: words(&["*"]), ..app() };
    let asks = "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n";
    for names in ["x-a, x b", "x-a, \"x\"", "x-a:1", ", ,", &"x-abcdef,".repeat(1000)] {
        let asks = format!("{asks}Access-Control-Request-Headers: {names}\r\n");
        assert!(!preflight(&all, &asks).0.contains("Access-Control-Allow-Headers"), "{names}");
    }
}

#[test]
fn a_response_says_who_may_read_it_and_that_it_depends_on_the_page() {
    let matched = "Vary: Origin\r\nAccess-Control-Allow-Credentials: true\r\n\
                   Access-Control-Expose-Headers: x-header-3, x-header-4\r\n\
                   Access-Control-Allow-Origin: https://www.foo.com\r\n";
    // What only preflights ask for changes nothing on other methods.
    let asks = "Origin: https://www.foo.com\r\nAccess-Control-Request-Method: GET\r\n";
    assert_eq!(actual(&app(), asks), matched);
    for fields in ["", "Origin: https://foobar.com\r\n", "Origin: null\r\n", "Origin:\r\n"] {
        assert_eq!(actual(&app(), fields), "Vary: Origin\r\n", "{fields}");
    }
    let listed = Settings { origins: words(&["null"]), ..Settings::default() };
    assert!(actual(&listed, "Origin: null\r\n").ends_with("Access-Control-Allow-Origin: null\r\n"));
}

#[test]
fn attack_of_several_origins_none_counts() {
    for fields in [
        "Origin: https://www.foo.com\r\nOrigin: https://evil.example\r\n",
        "Origin: https://evil.example\r\nOrigin: https://www.foo.com\r\n",
        "Origin: https://www.foo.com\r\nOrigin: https://www.foo.com\r\n",
        "Origin: https://www.foo.com https://evil.example\r\n",
        "Origin: https://www.foo.com, https://evil.example\r\n",
    ] {
        assert_eq!(actual(&app(), fields), "Vary: Origin\r\n", "{fields}");
        let asks = format!("{fields}Access-Control-Request-Method: GET\r\n");
        assert_eq!(preflight(&app(), &asks).0, VARY);
    }
}

#[test]
fn options_without_both_fields_of_a_preflight_goes_to_the_origin() {
    let cors = Cors::new(&app()).unwrap();
    for fields in ["", "Origin: https://www.foo.com\r\n", "Access-Control-Request-Method: GET\r\n"] {
        let (verdict, _) = Sample::new("OPTIONS /a", fields).ask(&cors);
        assert!(matches!(verdict, Verdict::Continue(None)), "{fields}");
    }
    assert!(cors.is_repeatable() && cors.stage() == Stage::Admit);
}

#[test]
fn settings_that_browsers_would_not_understand_are_refused() {
    let wrong = |settings: Settings| Cors::new(&settings).unwrap_err();
    let settings = Settings { methods: words(&["GET", "PUT, POST"]), ..app() };
    assert_eq!((wrong(settings.clone()).setting, wrong(settings).index), ("methods", 1));
    assert_eq!(wrong(Settings { headers: words(&["x:y"]), ..app() }).setting, "headers");
    assert_eq!(wrong(Settings { expose: words(&["*"]), ..app() }).setting, "expose");
    assert_eq!(wrong(Settings { origins: words(&["foo.com"]), ..app() }).setting, "origins");
}

//! Logins by Chromium, driven by its DevTools.

use std::process::Command;

use serde_json::{Value, json};
use tollgate_testkit::{Authority, Issued, OidcProvider, Origin, Tollgate};

use super::{LOGIN, SEALING, USER, register, telling, with_user};
use crate::chromium;
use crate::foreign::{Foreign, program, succeed};
use crate::python::python;
use crate::{NAME, certified, launch};

/// A browser, and what it can go to.
struct Visit {
    provider: OidcProvider,
    tollgate: Tollgate,
    site: String,
    port: String,
    _cert: (Authority, Issued),
    _origin: Origin,
    _browser: Foreign,
    _profile: tempfile::TempDir,
}

impl Visit {
    /// None where there is no Chromium or no Python.
    fn begin(tls: bool, cookie: &str) -> Option<Self> {
        let chromium = program("chromium", "chromium")?;
        python("devtools.py")?;
        let (authority, cert) = certified();
        let (provider, origin) = (with_user(OidcProvider::start()), telling());
        let listen = match tls {
            true => format!(
                "listen: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{}] }} }}\n",
                cert.yaml()
            ),
            false => "listen: \"127.0.0.1:0\"\n".to_owned(),
        };
        let document = format!("{listen}{}", LOGIN.replace("{cookie}", cookie).replace("{more}", ""));
        let tollgate = launch(1, &document, &[("issuer", &provider.issuer()), ("origin", &origin.address())]);
        let (scheme, host) = if tls { ("https", NAME) } else { ("http", "127.0.0.1") };
        let site = format!("{scheme}://{host}:{}", tollgate.address().port());
        register(&provider, &site);
        let profile = tempfile::tempdir().unwrap();
        let mut browser =
            Foreign::start(chromium::command(&chromium, profile.path(), &cert).arg("about:blank"));
        let line = browser.line("DevTools listening on ws://127.0.0.1:");
        let port = line.split("ws://127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
        let port = port.to_owned();
        Some(Self {
            provider,
            tollgate,
            site,
            port,
            _cert: (authority, cert),
            _origin: origin,
            _browser: browser,
            _profile: profile,
        })
    }

    fn tell(&self, arguments: &[&str]) -> Value {
        let mut devtools: Command = python("devtools.py").expect("it was there before");
        let said = succeed(devtools.arg(&self.port).args(arguments));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// Opens a page of the site, until one that shows this: where the browser is then, and what it shows.
    fn open(&self, path: &str, shown: &str) -> (String, String) {
        seen(&self.tell(&["goto", &format!("{}{path}", self.site), shown]))
    }

    /// Fills in the provider's form.
    fn log_in(&self, password: &str, shown: &str) -> (String, String) {
        let password = format!("password={password}");
        seen(&self.tell(&["submit", shown, &format!("username={USER}"), &password]))
    }

    /// The names of the browser's cookies, and one of them with all that it is.
    fn cookies(&self, wanted: &str) -> (Vec<String>, Option<Value>) {
        let cookies = self.tell(&["cookies"]);
        let cookies = cookies.as_array().unwrap();
        let names = cookies.iter().map(|cookie| cookie["name"].as_str().unwrap().to_owned()).collect();
        (names, cookies.iter().find(|cookie| cookie["name"] == wanted).cloned())
    }
}

fn seen(value: &Value) -> (String, String) {
    let text = |name: &str| value[name].as_str().unwrap().to_owned();
    (text("url"), text("text"))
}

const WHO: &str = "x-consumer=alice\nx-groups=staff\nx-subject=alice\nx-auth=web";

#[test]
fn a_person_logs_in_by_the_form_stays_and_logs_out() {
    let cookie = format!("{{ name: __Host-shop, secrets: [{SEALING}] }}");
    let Some(visit) = Visit::begin(true, &cookie) else { return };
    // Without a login there is the provider's form, at the provider.
    let (url, _) = visit.open("/cart?item=7&more=a%2Fb", "Log in");
    assert!(url.starts_with(&visit.provider.url("/authorize?")), "{url}");
    let (url, _) = visit.log_in("a guess", "That was wrong.");
    assert_eq!(url, visit.provider.url("/login"));
    let (url, text) = visit.log_in("the password", "x-mail");
    assert_eq!(url, format!("{}/cart?item=7&more=a%2Fb", visit.site));
    assert!(text.contains("x-mail=alice@shop.example") && text.contains(WHO), "{text}");
    assert!(!text.contains("cookie="), "the origin got the session: {text}");

    let (names, session) = visit.cookies("__Host-shop");
    let session = session.unwrap_or_else(|| panic!("no session: {names:?}"));
    for (attribute, value) in [
        ("httpOnly", true.into()),
        ("secure", true.into()),
        ("sameSite", "Lax".into()),
        ("path", "/".into()),
        ("domain", Value::from(NAME)),
    ] {
        assert_eq!(session[attribute], value, "{attribute}: {session}");
    }
    assert_eq!(names, ["__Host-shop"], "the login under way is over");

    // It lasts, for pages and for what scripts ask.
    let before = visit.provider.requests("/authorize");
    let (url, text) = visit.open("/orders", "x-mail");
    assert!(url == format!("{}/orders", visit.site) && text.contains(WHO), "{url}: {text}");
    let fetched = visit.tell(&["run", "fetch('/api').then(answer => answer.text())"]);
    assert!(fetched.as_str().unwrap().contains(WHO), "{fetched}");

    // A reload of the document changes nothing about it.
    let text = std::fs::read_to_string(visit.tollgate.directory().join("tollgate.yaml")).unwrap();
    let said = visit.tollgate.reload(&format!("{text}  - {{ path: /new, respond: 204 }}\n"));
    assert!(!said.contains("refused"), "{said}");
    let (url, text) = visit.open("/later", "x-mail");
    assert!(url == format!("{}/later", visit.site) && text.contains(WHO), "{url}: {text}");
    assert_eq!(visit.provider.requests("/authorize"), before, "it had to log in again");

    let (url, text) = visit.open("/oauth2/logout", "/bye");
    assert_eq!((url, text.starts_with("/bye\nhost=")), (format!("{}/bye", visit.site), true), "{text}");
    assert_eq!(visit.provider.requests("/logout"), 1);
    assert_eq!(visit.cookies("__Host-shop").0, Vec::<String>::new());
    let refused = visit.tell(&["run", "fetch('/api').then(answer => answer.status)"]);
    assert_eq!(refused, 401, "a script is not sent to a form");
    let (url, _) = visit.open("/orders", "Log in");
    assert!(url.starts_with(&visit.provider.url("/authorize?")), "{url}");
}

#[test]
fn a_login_without_a_form_passes_by_redirections_alone() {
    // Browsers do not send strict cookies along a chain of redirections that another site began.
    for same_site in ["lax", "strict"] {
        let cookie = format!("{{ name: __Host-shop, secrets: [{SEALING}], same_site: {same_site} }}");
        let Some(visit) = Visit::begin(true, &cookie) else { return };
        visit.provider.consent(Some(USER));
        let (url, text) = visit.open("/cart?a=%27b", "x-mail");
        assert_eq!(url, format!("{}/cart?a=%27b", visit.site), "{same_site}");
        assert!(text.contains(WHO), "{same_site}: {text}");
        assert_eq!(visit.provider.requests("/token"), 1, "{same_site}");
        let (url, _) = visit.open("/orders", "x-mail");
        assert_eq!(url, format!("{}/orders", visit.site), "{same_site}");
        assert_eq!(visit.provider.requests("/token"), 1, "{same_site}");
    }
}

#[test]
fn a_login_in_the_clear_works_where_the_document_says_so() {
    let cookie = format!("{{ secrets: [{SEALING}], secure: false }}");
    let Some(visit) = Visit::begin(false, &cookie) else { return };
    visit.provider.consent(Some(USER));
    let (url, text) = visit.open("/cart", "x-mail");
    assert!(url == format!("{}/cart", visit.site) && text.contains(WHO), "{url}: {text}");
    let (names, session) = visit.cookies("tollgate");
    assert_eq!((names.len(), session.map(|cookie| cookie["secure"].clone())), (1, Some(false.into())));
    visit.open("/oauth2/logout", "/bye");
    assert!(visit.cookies("tollgate").0.is_empty());
}

#[test]
fn a_session_longer_than_a_cookie_is_kept_in_several() {
    let cookie = format!("{{ name: __Host-shop, secrets: [{SEALING}] }}");
    let Some(visit) = Visit::begin(true, &cookie) else { return };
    visit.provider.consent(Some(USER));
    let notes: Vec<_> = (0..600).map(|number| format!("note-{number}")).collect();
    visit.provider.add_user(USER, "the password", json!({ "email": "alice@shop.example", "notes": notes }));
    let (_, text) = visit.open("/cart", "x-mail");
    assert!(text.contains(WHO) && !text.contains("cookie="), "{text}");
    let (mut names, _) = visit.cookies("");
    names.sort_unstable();
    assert_eq!(names, ["__Host-shop", "__Host-shop.1", "__Host-shop.2"]);
    visit.open("/orders", "x-mail");
    assert_eq!(visit.provider.requests("/token"), 1);
    visit.open("/oauth2/logout", "/bye");
    assert!(visit.cookies("").0.is_empty());
}

#[test]
fn a_page_of_another_site_ends_no_session() {
    let cookie = format!("{{ secrets: [{SEALING}] }}");
    let Some(visit) = Visit::begin(true, &cookie) else { return };
    visit.provider.consent(Some(USER));
    visit.open("/cart", "x-mail");
    // From the provider's page: a picture, and a form that is sent off.
    visit.tell(&["goto", &visit.provider.url("/nothing"), "nothing here"]);
    let logout = format!("{}/oauth2/logout", visit.site);
    let picture = format!(
        "new Promise(done => {{ const i = new Image(); i.onload = i.onerror = done; i.src = '{logout}' }}).then(() => 1)"
    );
    assert_eq!(visit.tell(&["run", &picture]), 1);
    let form = format!("document.body.innerHTML = '<form method=post action=\"{logout}\"></form>', 1");
    assert_eq!(visit.tell(&["run", &form]), 1);
    visit.tell(&["submit", "not_allowed"]);
    let (url, _) = visit.open("/cart", "x-mail");
    assert_eq!(url, format!("{}/cart", visit.site));
    assert_eq!((visit.provider.requests("/token"), visit.provider.requests("/logout")), (1, 0));
}

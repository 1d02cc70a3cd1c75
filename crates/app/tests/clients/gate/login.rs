//! Logins by curl with a cookie jar: each step as it is on the wire.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tollgate_testkit::{Authority, Issued, OidcProvider, Origin, Tollgate};

use super::{LOGIN, SEALING, USER, ended, register, telling, with_user};
use crate::foreign::{program, succeed};
use crate::{NAME, certified, launch};

/// A site with a login, and a curl with its jar.
struct Site {
    curl: PathBuf,
    authority: Authority,
    cert: Issued,
    provider: OidcProvider,
    origin: Origin,
    tollgate: Tollgate,
    directory: tempfile::TempDir,
}

/// An answer: its head in lower-case names, its body, and where it sends.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: Vec<(String, String)>,
    body: String,
    to: String,
}

impl Answer {
    fn all(&self, name: &str) -> Vec<&str> {
        self.head.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }
}

impl Site {
    fn new() -> Option<Self> {
        let curl = program("curl", "curl")?;
        let (authority, cert) = certified();
        let (provider, origin) = (with_user(OidcProvider::start_secured(&authority)), telling());
        let tollgate = start(&provider, &origin, (&authority, &cert), SEALING);
        let directory = tempfile::tempdir().unwrap();
        let site = Self { curl, authority, cert, provider, origin, tollgate, directory };
        register(&site.provider, &site.url(""));
        Some(site)
    }

    fn url(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.tollgate.address().port())
    }

    /// Asks as a browser does that opens a page.
    fn page(&self, url: &str) -> Answer {
        self.ask(&["-H", "Accept: text/html,*/*;q=0.8", url])
    }

    fn ask(&self, arguments: &[&str]) -> Answer {
        let jar = self.directory.path().join("jar");
        let (head, body) = (self.directory.path().join("head"), self.directory.path().join("body"));
        let mut command = Command::new(&self.curl);
        let port = self.tollgate.address().port();
        command.args(["-sS", "--noproxy", "*", "--path-as-is", "--max-time", "30", "--resolve"]);
        command.arg(format!("{NAME}:{port}:127.0.0.1")).arg("--cacert").arg(self.authority.roots());
        command.arg("-b").arg(&jar).arg("-c").arg(&jar).arg("-D").arg(&head).arg("-o").arg(&body);
        command.args(["-w", "%{http_code} %{redirect_url}"]).args(arguments);
        std::fs::write(&body, "").unwrap();
        let said = succeed(&mut command);
        let (status, to) = said.split_once(' ').unwrap();
        let head = std::fs::read_to_string(head).unwrap();
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        Answer {
            status: status.parse().unwrap(),
            head: fields.map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())).collect(),
            body: std::fs::read_to_string(body).unwrap(),
            to: to.to_owned(),
        }
    }

    /// All the way from a page to where the browser is led back.
    fn log_in(&self, path: &str) -> Answer {
        let sent = self.page(&self.url(path));
        assert_eq!(sent.status, 302, "{path}: {sent:?}");
        let agreed = self.page(&sent.to);
        assert!(agreed.to.starts_with(&self.url("/oauth2/callback?")), "{path}: {agreed:?}");
        self.page(&agreed.to)
    }
}

fn start(
    provider: &OidcProvider,
    origin: &Origin,
    (authority, cert): (&Authority, &Issued),
    secret: &str,
) -> Tollgate {
    let more = format!("\n      ca: \"{}\"", authority.roots().display());
    let document = format!(
        "listen: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{{cert}}] }} }}\n{}",
        LOGIN
            .replace("{more}", &more)
            .replace("{cookie}", &format!("{{ name: __Host-shop, secrets: [{secret}], lifetime: 2h }}"))
    );
    launch(
        1,
        &document,
        &[("cert", &cert.yaml()), ("issuer", &provider.issuer()), ("origin", &origin.address())],
    )
}

#[test]
fn each_step_of_a_login_is_as_it_should_be() {
    let Some(site) = Site::new() else { return };
    site.provider.consent(Some(USER));
    let sent = site.page(&site.url("/cart?x=1"));
    assert_eq!((sent.status, sent.all("cache-control")), (302, vec!["no-store"]), "{sent:?}");
    for part in [
        "response_type=code",
        "client_id=tollgate",
        "code_challenge_method=S256",
        "scope=openid%20profile",
        "&state=",
        "&nonce=",
        &format!(
            "redirect_uri=https%3A%2F%2F{NAME}%3A{}%2Foauth2%2Fcallback",
            site.tollgate.address().port()
        ),
    ] {
        assert!(sent.to.contains(part), "{part} is not in {}", sent.to);
    }
    assert!(!sent.to.contains("secret"), "{}", sent.to);
    let kept = sent.all("set-cookie");
    assert!(kept.len() == 1 && kept[0].starts_with("__Host-shop.login."), "{kept:?}");
    assert!(kept[0].ends_with("; Max-Age=600; Path=/; HttpOnly; Secure; SameSite=Lax"), "{kept:?}");

    let agreed = site.page(&sent.to);
    let back = site.page(&agreed.to);
    assert_eq!(
        (back.status, back.all("location"), back.all("cache-control")),
        (302, vec!["/cart?x=1"], vec!["no-store"])
    );
    let cookies = back.all("set-cookie");
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-shop=1.")).unwrap();
    assert!(session.ends_with("; Max-Age=7200; Path=/; HttpOnly; Secure; SameSite=Lax"), "{session}");
    assert!(
        cookies.iter().any(|c| c.starts_with("__Host-shop.login.") && c.contains("=; Max-Age=0;")),
        "{cookies:?}"
    );

    // What the client says of itself is not believed, and what it keeps for us is not handed on.
    let cart = site.ask(&[
        "-H",
        "X-Mail: mallory",
        "-H",
        "x-consumer: mallory",
        "--cookie",
        "other=1",
        &site.url("/cart?x=1"),
    ]);
    assert_eq!(cart.status, 200, "{cart:?}");
    for line in
        ["x-mail=alice@shop.example", "x-consumer=alice", "x-groups=staff", "x-subject=alice", "x-auth=web"]
    {
        assert!(cart.body.lines().any(|known| known == line), "{line} is not in {}", cart.body);
    }
    assert!(!cart.body.contains("mallory") && !cart.body.contains("__Host"), "{}", cart.body);

    // The same answer of the provider is good once: its code is used up.
    let again = site.page(&agreed.to);
    let has_session = again.all("set-cookie").iter().any(|cookie| cookie.starts_with("__Host-shop="));
    assert!(again.status == 400 && !has_session, "{again:?}");
    assert_eq!(site.provider.requests("/authorize"), 1);
}

#[test]
fn sessions_are_refreshed_kept_over_processes_and_ended() {
    let Some(mut site) = Site::new() else { return };
    site.provider.consent(Some(USER));
    // Tokens that have expired when they come: each request needs new ones.
    site.provider.set_token_lifetime(Duration::ZERO);
    assert_eq!(site.log_in("/cart").status, 302);
    let cart = site.page(&site.url("/cart"));
    assert_eq!(
        (cart.status, cart.all("set-cookie").len(), site.provider.requests("/token")),
        (200, 1, 2),
        "{cart:?}"
    );
    site.provider.set_token_lifetime(Duration::from_secs(3600));
    assert_eq!(site.page(&site.url("/cart")).status, 200);
    let cart = site.page(&site.url("/cart"));
    assert_eq!(
        (cart.status, cart.all("set-cookie").len(), site.provider.requests("/token")),
        (200, 0, 3),
        "{cart:?}"
    );

    // Another process with the same secret knows it, one with another secret does not.
    let jar = std::fs::read_to_string(site.directory.path().join("jar")).unwrap();
    site.tollgate = start(&site.provider, &site.origin, (&site.authority, &site.cert), SEALING);
    let cart = site.page(&site.url("/cart"));
    assert!(cart.status == 200 && cart.body.contains("x-consumer=alice"), "{cart:?}");
    site.tollgate =
        start(&site.provider, &site.origin, (&site.authority, &site.cert), &SEALING.to_uppercase());
    assert_eq!(site.page(&site.url("/cart")).status, 302);
    let api = site.ask(&["-H", "Accept: application/json", &site.url("/cart")]);
    assert_eq!(api.status, 401, "{api:?}");
    assert!(api.all("set-cookie").iter().any(|c| c.starts_with("__Host-shop=; Max-Age=0")), "{api:?}");

    // A page of another site does not end it, its own does.
    std::fs::write(site.directory.path().join("jar"), jar).unwrap();
    site.tollgate = start(&site.provider, &site.origin, (&site.authority, &site.cert), SEALING);
    register(&site.provider, &site.url(""));
    let foreign = site.ask(&["-H", "Sec-Fetch-Site: cross-site", &site.url("/oauth2/logout")]);
    assert_eq!((foreign.status, foreign.all("set-cookie").len()), (403, 0), "{foreign:?}");
    assert_eq!(site.page(&site.url("/cart")).status, 200);
    let out = site.page(&site.url("/oauth2/logout"));
    assert_eq!(out.status, 302, "{out:?}");
    assert!(out.to.starts_with(&site.provider.url("/logout?")), "{out:?}");
    assert!(out.all("set-cookie").iter().all(|c| c.starts_with("__Host-shop=; Max-Age=0;")), "{out:?}");
    assert_eq!(site.page(&out.to).to, site.url("/bye"));
    assert_eq!(site.page(&site.url("/cart")).status, 302);
    assert_eq!(ended(&site.tollgate, "logged_out", "nobody"), 1.0);
}

#[test]
fn no_login_leads_to_another_site() {
    let Some(site) = Site::new() else { return };
    site.provider.consent(Some(USER));
    for path in [
        "//evil.example/",
        "///evil.example",
        "/%2F%2Fevil.example/",
        "/%5Cevil.example/",
        "/.//evil.example/",
        "/a/..//evil.example/",
        "/%2e%2e//evil.example",
        "/%09/evil.example",
        "/x?rd=https://evil.example/&redirect_uri=//evil.example&next=/\\evil.example",
        "/https://evil.example/",
    ] {
        let sent = site.page(&site.url(path));
        if sent.status == 400 {
            // A path that is no path is refused before anything else.
            continue;
        }
        let back = site.page(&site.page(&sent.to).to);
        let place = back.all("location").first().copied().unwrap_or_default().to_owned();
        assert!(back.status == 302 && place.starts_with('/'), "{path}: {back:?}");
        // As browsers read it: a second slash, or what they take for one, begins a host.
        let second = place[1..].chars().find(|c| !matches!(c, '\t' | '\n' | '\r'));
        assert!(!matches!(second, Some('/' | '\\')), "{path} leads to {place}");
        assert!(back.to.starts_with(&site.url("/")), "{path} leads to {}", back.to);
        std::fs::remove_file(site.directory.path().join("jar")).unwrap();
    }
    // Nor does what a stranger sends to the callback.
    let sent = site.page(&site.url("/cart"));
    let good = site.page(&sent.to).to;
    let state = sent.to.split("&state=").nth(1).unwrap().split('&').next().unwrap();
    for query in [
        String::new(),
        "code=x".to_owned(),
        "code=x&state=guessed".to_owned(),
        format!("code=x&state={state}&state={state}"),
        format!("code=x&state={state}&iss=https%3A%2F%2Fevil.example"),
        format!("code=x&state={state}&rd=https://evil.example/"),
    ] {
        let answer = site.page(&site.url(&format!("/oauth2/callback?{query}")));
        let is_kept =
            answer.all("set-cookie").iter().any(|c| c.starts_with("__Host-shop=") && !c.contains("=;"));
        assert!(answer.status == 400 && !is_kept && answer.to.is_empty(), "{query}: {answer:?}");
    }
    // Somebody else's answer, in a browser that began nothing: a session that is not one's own.
    std::fs::remove_file(site.directory.path().join("jar")).unwrap();
    assert_eq!(site.page(&good).status, 400);
    site.tollgate.await_metric(&super::series("login_failed", "client"), 7.0);
}

//! curl over TLS and HTTP/2.

use std::process::Command;

use tollgate_testkit::{Authority, Issued, Origin, Tollgate};

use crate::foreign::{program, succeed};
use crate::{NAME, certified, launch, origin};

/// A listener with TLS and one without, in front of an origin.
struct Served {
    authority: Authority,
    _cert: Issued,
    _origin: Origin,
    tollgate: Tollgate,
}

impl Served {
    fn new() -> Self {
        let (authority, cert) = certified();
        let origin = origin();
        let document = "listen:\n  - { address: \"127.0.0.1:0\", tls: { certificates: [{cert}] }, protocols: [h1, h2, h3] }\n  \
                        - \"127.0.0.1:0\"\nroutes: [{ path: /, to: \"http://{origin}\", retry: none }]\n";
        let tollgate = launch(2, document, &[("cert", &cert.yaml()), ("origin", &origin.address())]);
        Self { authority, _cert: cert, _origin: origin, tollgate }
    }

    /// What curl says with these arguments; `tls:` and `plain:` at the beginning of one stand for the listeners.
    fn curl(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new(program("curl", "curl")?);
        let [tls, plain] = [0, 1].map(|listener| self.tollgate.addresses()[listener].port());
        command.args([
            "-sS",
            "--noproxy",
            "*",
            "--max-time",
            "30",
            "--resolve",
            &format!("{NAME}:{tls}:127.0.0.1"),
        ]);
        command.arg("--cacert").arg(self.authority.roots());
        for argument in arguments {
            let argument = argument.replace("tls:", &format!("https://{NAME}:{tls}"));
            command.arg(argument.replace("plain:", &format!("http://127.0.0.1:{plain}")));
        }
        Some(succeed(&mut command))
    }
}

/// How each protocol is asked for, and what curl calls it.
const WAYS: &[(&[&str], &str, &str)] = &[
    (&["--http1.1"], "tls:", "1.1"),
    (&["--http2"], "tls:", "2"),
    (&["--tlsv1.3", "--http2"], "tls:", "2"),
    (&["--tls-max", "1.2", "--http2"], "tls:", "2"),
    (&["--http1.0"], "tls:", "1.1"),
    (&["--http2-prior-knowledge"], "plain:", "2"),
    // An upgrade from HTTP/1.1 is not taken, as RFC 9113 asks of nobody; the answer comes by HTTP/1.1.
    (&["--http2"], "plain:", "1.1"),
];

#[test]
fn requests_of_all_kinds_pass_in_all_protocols() {
    let served = Served::new();
    for (way, at, version) in WAYS {
        let with = |more: &[&str]| served.curl(&[way, more].concat());
        let Some(told) = with(&[&format!("{at}/a?b"), "-w", "\n%{http_version} %{http_code}"]) else {
            return;
        };
        assert_eq!(told, format!("GET /a?b\n{version} 200"), "{way:?}");
        let echo = format!("{at}/echo");
        assert_eq!(with(&["-d", "hello", &echo]).unwrap(), "hello", "{way:?}");
        assert_eq!(with(&["-X", "DELETE", "-w", "%{http_code}", &echo]).unwrap(), "200");
        assert!(with(&["-I", &format!("{at}/a")]).unwrap().contains(" 200"), "{way:?}");
        let refused = with(&["-o", "/dev/null", "-w", "%{http_code} %{content_type}", &format!("{at}/%00")]);
        assert_eq!(refused.unwrap(), "400 application/problem+json", "{way:?}");
    }
}

#[test]
fn files_pass_unchanged_in_all_protocols() {
    let served = Served::new();
    let directory = tempfile::tempdir().unwrap();
    let (up, down) = (directory.path().join("up"), directory.path().join("down"));
    let bytes: Vec<u8> = (0..4_000_000_u32).map(|n| (n * 31 + n / 977) as u8).collect();
    std::fs::write(&up, &bytes).unwrap();
    for (way, at, _) in WAYS {
        let url = format!("{at}/echo");
        let file = ["-T", up.to_str().unwrap(), "-o", down.to_str().unwrap(), &url];
        if served.curl(&[way, &file[..]].concat()).is_none() {
            return;
        }
        assert!(std::fs::read(&down).unwrap() == bytes, "{way:?}");
    }
}

#[test]
fn many_requests_share_a_connection() {
    let served = Served::new();
    let urls = vec!["tls:/a"; 200];
    let arguments = [
        &["--http2", "--parallel", "--parallel-max", "50", "-w", " %{http_code} %{num_connects}\n"],
        &urls[..],
    ];
    let Some(told) = served.curl(&arguments.concat()) else { return };
    // It writes bodies and what was asked for as they come.
    assert_eq!(told.matches("GET /a").count(), 200, "{told}");
    assert_eq!((told.matches(" 200 1\n").count(), told.matches(" 200 0\n").count()), (1, 199), "{told}");
}

#[test]
fn http3_is_announced_and_spoken() {
    let served = Served::new();
    let Some(head) = served.curl(&["-D", "-", "-o", "/dev/null", "--http2", "tls:/a"]) else { return };
    let port = served.tollgate.address().port();
    let announced = head
        .to_ascii_lowercase()
        .lines()
        .any(|l| l.starts_with("alt-svc: h3=") && l.contains(&format!(":{port}\"")));
    assert!(announced, "{head}");
    // Most builds of curl do without it.
    if served.curl(&["--version"]).is_some_and(|told| told.contains("HTTP3")) {
        let told = served.curl(&["--http3-only", "-d", "hello", "tls:/echo", "-w", " %{http_version}"]);
        assert_eq!(told.as_deref(), Some("hello 3"));
    }
}

#[test]
fn bodies_are_asked_for_before_they_are_sent() {
    let served = Served::new();
    for (way, at, _) in WAYS {
        let url = format!("{at}/echo");
        let told = served.curl(&[way, &["-H", "Expect: 100-continue", "-d", "hello", &url][..]].concat());
        assert!(told.is_none_or(|told| told == "hello"), "{way:?}");
    }
}

//! nginx as the service that decides.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tollgate_testkit::{Origin, Response, Tollgate};

use super::{series, telling};
use crate::foreign::{Foreign, free_address, program, succeed};
use crate::{launch, wait_until};

const DOCUMENT: &str = "\
listen: \"127.0.0.1:0\"
auth:
  own: { forward: { url: \"http://{service}/auth\", timeout: 20s, request_headers: [Cookie, X-Ask], response_headers: [X-User, X-Saw] } }
  office: { forward: { url: \"http://{service}/office\", timeout: 20s } }
  open: { forward: { url: \"http://{service}/auth\", timeout: 20s, if_unreachable: allow } }
routes:
  - { path: /office, to: \"http://{origin}\", auth: office }
  - { path: /open, to: \"http://{origin}\", auth: open }
  - { path: /, to: \"http://{origin}\", auth: own }
";

/// nginx, deciding by a cookie and by a file of passwords.
fn serve(directory: &Path, address: SocketAddr) -> Option<Foreign> {
    let nginx = program("nginx", "nginx-light")?;
    let at = directory.display();
    let configuration = format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path {at}/body;\n  proxy_temp_path {at}/proxy;\n  fastcgi_temp_path {at}/fastcgi;\n  \
         uwsgi_temp_path {at}/uwsgi;\n  scgi_temp_path {at}/scgi;\n  \
         map $cookie_session $who {{ default \"\"; s1 alice; }}\n  \
         server {{\n    listen {address};\n    default_type text/plain;\n    location = /auth {{\n      \
         add_header X-User $who always;\n      add_header X-Saw \"$http_x_forwarded_method $http_x_forwarded_proto \
         $http_x_forwarded_host $http_x_forwarded_uri $http_x_forwarded_for $http_authorization.\" always;\n      \
         add_header X-Secret inside always;\n      \
         if ($http_x_ask = broken) {{ return 500; }}\n      if ($http_x_ask = away) {{ return 302 https://login.example/; }}\n      \
         if ($who = \"\") {{ add_header WWW-Authenticate 'Bearer realm=\"shop\"' always; add_header X-Secret inside always; return 401 \"who are you\"; }}\n      \
         return 204;\n    }}\n    \
         location = /office {{ root {at}; auth_basic \"the office\"; auth_basic_user_file {at}/users; }}\n  }}\n}}\n"
    );
    let file = directory.join("nginx.conf");
    std::fs::write(&file, configuration).unwrap();
    std::fs::write(directory.join("office"), "come in").unwrap();
    let mut command = Command::new(nginx);
    Some(Foreign::serve(command.arg("-p").arg(directory).arg("-c").arg(&file), address))
}

fn begin(directory: &Path, address: SocketAddr) -> Option<(Foreign, Origin, Tollgate)> {
    let service = serve(directory, address)?;
    let origin = telling();
    let tollgate = launch(1, DOCUMENT, &[("service", &address), ("origin", &origin.address())]);
    Some((service, origin, tollgate))
}

fn get(tollgate: &Tollgate, target: &str, fields: &str) -> Response {
    tollgate.request(format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n"))
}

#[test]
fn nginx_decides_about_requests() {
    let (directory, address) = (tempfile::tempdir().unwrap(), free_address());
    let Some((service, origin, tollgate)) = begin(directory.path(), address) else { return };
    // It gets what the document says it does, and what the client says of itself counts for nothing.
    let forged = "X-User: mallory\r\nX-Forwarded-Method: DELETE\r\nX-Forwarded-Uri: /else\r\nX-Forwarded-For: 192.0.2.1\r\n";
    let passed =
        get(&tollgate, "/cart?a=b", &format!("Cookie: session=s1\r\nAuthorization: own\r\n{forged}"));
    assert_eq!((passed.status, passed.get("x-user")), (200, None), "{passed:?}");
    let told = passed.text();
    for line in [
        "/cart?a=b",
        "x-user=alice",
        "x-saw=GET http shop.example /cart?a=b 127.0.0.1 .",
        "cookie=session=s1",
        "authorization=own",
    ] {
        assert!(told.lines().any(|known| known == line), "{line:?} is not in {told}");
    }
    assert!(!told.contains("mallory") && !told.contains("x-secret"), "{told}");
    // With a body, which it does not get.
    let post =
        "POST /cart HTTP/1.1\r\nHost: shop.example\r\nCookie: session=s1\r\nContent-Length: 5\r\n\r\nhello";
    let posted = tollgate.request(post);
    assert!(posted.status == 200 && posted.text().contains("x-saw=POST http"), "{posted:?}");
    assert_eq!(origin.requests()[1].text(), "hello");

    let refused = get(&tollgate, "/cart", "Cookie: session=s2\r\n");
    assert_eq!((refused.status, refused.text().as_str()), (401, "who are you"), "{refused:?}");
    assert_eq!(refused.get("www-authenticate"), Some("Bearer realm=\"shop\""));
    let hidden = (refused.get("x-secret"), refused.get("x-saw"), refused.get("server"));
    assert_eq!(hidden, (None, None, Some("tollgate")), "{refused:?}");
    let away = get(&tollgate, "/cart", "X-Ask: away\r\n");
    assert_eq!((away.status, away.get("location")), (302, Some("https://login.example/")), "{away:?}");
    tollgate.await_metric(&series("authorization_denied", "client"), 2.0);

    // What is no decision lets nothing pass.
    assert_eq!(get(&tollgate, "/cart", "Cookie: session=s1\r\nX-Ask: broken\r\n").status, 503);
    drop(service);
    let gone = get(&tollgate, "/cart", "Cookie: session=s1\r\n");
    assert!(gone.status == 503 && !gone.text().contains("127.0.78.1"), "{gone:?}");
    tollgate.await_metric(&series("authorization_unavailable", "proxy"), 2.0);
    assert_eq!(get(&tollgate, "/open", "").status, 200);
    assert_eq!(origin.requests().len(), 3);
    let _service = serve(directory.path(), address);
    wait_until("it is asked again", || get(&tollgate, "/cart", "Cookie: session=s1\r\n").status == 200);
    assert_eq!(get(&tollgate, "/open", "").status, 401);
}

#[test]
fn a_login_of_nginx_passes_through_curl_and_tollgate() {
    let Some(htpasswd) = program("htpasswd", "apache2-utils") else { return };
    let Some(curl) = program("curl", "curl") else { return };
    let (directory, address) = (tempfile::tempdir().unwrap(), free_address());
    // A kind that nginx reads; it is nginx that looks at it here.
    let users = directory.path().join("users");
    succeed(Command::new(htpasswd).args(["-cbm"]).arg(&users).args(["alice", "the password"]));
    let Some((_service, _origin, tollgate)) = begin(directory.path(), address) else { return };
    let url = format!("http://{}/office", tollgate.address());
    let ask = |more: &[&str]| {
        succeed(
            Command::new(&curl).args(["-sS", "--noproxy", "*", "-w", " %{http_code}"]).args(more).arg(&url),
        )
    };
    // `--anyauth` shows the password only after it was asked for.
    assert!(ask(&["--anyauth", "-u", "alice:the password"]).ends_with(" 200"));
    assert!(ask(&["--anyauth", "-u", "alice:a guess"]).ends_with(" 401"));
    let asked = ask(&["-o", "/dev/null", "-D", "-"]).to_ascii_lowercase();
    assert!(asked.contains("www-authenticate: basic realm=\"the office\""), "{asked}");
}

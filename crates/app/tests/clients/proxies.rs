//! HAProxy and nginx, before Tollgate and behind it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tollgate_testkit::{Client, Origin};

use crate::foreign::{Foreign, free_address, program};
use crate::{NAME, certified, launch, origin};

/// HAProxy on a configuration, listening there.
fn haproxy(directory: &Path, address: SocketAddr, configuration: &str) -> Option<Foreign> {
    let haproxy = program("haproxy", "haproxy")?;
    let file = directory.join("haproxy.cfg");
    let timeouts = "defaults\n  timeout client 20s\n  timeout server 20s\n  timeout connect 5s\n";
    std::fs::write(&file, format!("{timeouts}{configuration}")).unwrap();
    Some(Foreign::serve(Command::new(haproxy).args(["-db", "-f"]).arg(file), address))
}

/// Says who it takes the client to be.
const WHO: &str = "routes: [{ path: /, to: \"http://{origin}\", retry: none }]\n";

#[test]
fn haproxy_tells_who_the_client_is() {
    let directory = tempfile::tempdir().unwrap();
    let origin = Origin::answering(|request| {
        let body = request.get("x-forwarded-for").unwrap_or("nobody").to_owned();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let (authority, cert) = certified();
    for (send, tls) in [("send-proxy", false), ("send-proxy-v2", false), ("send-proxy-v2", true)] {
        let tls_part =
            if tls { format!(", tls: {{ certificates: [{}] }}", cert.yaml()) } else { String::new() };
        let document =
            format!("listen: {{ address: \"127.0.0.1:0\", proxy_protocol: [127.0.0.0/8]{tls_part} }}\n{WHO}");
        let tollgate = launch(1, &document, &[("origin", &origin.address())]);
        let front = free_address();
        let ca = authority.roots();
        let tls_part = if tls {
            format!(" ssl verify required ca-file {} sni str({NAME})", ca.display())
        } else {
            String::new()
        };
        let configuration = format!(
            "listen front\n  mode http\n  bind {front}\n  server tollgate {} {send}{tls_part}\n",
            tollgate.address()
        );
        let Some(_haproxy) = haproxy(directory.path(), front, &configuration) else { return };
        let mut client = Client::connect_from("127.0.0.99".parse().unwrap(), front);
        let response = client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((response.status, response.text().as_str()), (200, "127.0.0.99"), "{send}");
        // Whoever may not go without the header gets no answer without it.
        let mut direct = tollgate.connect();
        direct.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        direct.assert_ended();
    }
}

#[test]
fn haproxy_is_told_who_the_client_is() {
    let directory = tempfile::tempdir().unwrap();
    let origin = origin();
    for version in ["v1", "v2"] {
        let back = free_address();
        // What HAProxy read from the header comes back as fields of the answer.
        let configuration = format!(
            "listen back\n  mode http\n  bind {back} accept-proxy\n  http-response set-header client %[src]\n  \
             http-response set-header authority %[fc_pp_authority]\n  server origin {}\n",
            origin.address()
        );
        let Some(_haproxy) = haproxy(directory.path(), back, &configuration) else { return };
        let (_authority, cert) = certified();
        let document = format!(
            "listen:\n  - {{ tcp: \"127.0.0.1:0\", to: back }}\n  - \"127.0.0.1:0\"\n  \
             - {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{}] }} }}\n\
             upstreams: {{ back: {{ endpoints: [\"{{back}}\"], proxy_protocol: {version} }} }}\n\
             routes: [{{ path: /, to: back, retry: none }}]\n",
            cert.yaml()
        );
        let tollgate = launch(3, &document, &[("back", &back)]);
        // The second time on a kept connection of the first, or on another: always whose request it is.
        for address in &tollgate.addresses()[..2] {
            for source in ["127.0.0.51", "127.0.0.52", "127.0.0.51"] {
                let mut client = Client::connect_from(source.parse().unwrap(), *address);
                let response = client.request("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
                assert_eq!((response.status, response.get("client")), (200, Some(source)), "{version}");
            }
        }
    }
}

#[test]
fn nginx_serves_as_an_origin_with_tls() {
    let Some(nginx) = program("nginx", "nginx-light") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (authority, cert) = certified();
    let origin = origin();
    let address = free_address();
    let at = directory.path().display();
    let configuration = format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path {at}/body;\n  proxy_temp_path {at}/proxy;\n  fastcgi_temp_path {at}/fastcgi;\n  \
         uwsgi_temp_path {at}/uwsgi;\n  scgi_temp_path {at}/scgi;\n  client_max_body_size 0;\n  \
         server {{\n    listen {address} ssl;\n    ssl_certificate {};\n    ssl_certificate_key {};\n    \
         ssl_protocols TLSv1.2 TLSv1.3;\n    keepalive_requests 10;\n    location / {{ return 200 \"$ssl_protocol $ssl_server_name $request_uri\"; }}\n    \
         location /echo {{ proxy_pass http://{}; proxy_http_version 1.1; }}\n  }}\n}}\n",
        cert.cert.display(),
        cert.key.display(),
        origin.address()
    );
    let file = directory.path().join("nginx.conf");
    std::fs::write(&file, configuration).unwrap();
    let mut command = Command::new(nginx);
    let _nginx = Foreign::serve(command.arg("-p").arg(directory.path()).arg("-c").arg(&file), address);
    let document = "listen: \"127.0.0.1:0\"\nupstreams: { nginx: { endpoints: [\"{nginx}\"], tls: { ca: \"{ca}\", name: {name} } } }\n\
                    routes: [{ path: /, to: nginx }]\n";
    let ca = authority.roots();
    let tollgate = launch(1, document, &[("nginx", &address), ("ca", &ca.display()), ("name", &NAME)]);
    let mut client = tollgate.connect();
    // It closes a connection after ten requests; nobody notices.
    for number in 0..100 {
        let response = client.request(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((response.status, response.text()), (200, format!("TLSv1.3 {NAME} /{number}")));
    }
    let body = "b".repeat(1_000_000);
    let request = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let response = client.request(request);
    assert!(response.status == 200 && response.text() == body, "{}", response.status);
}

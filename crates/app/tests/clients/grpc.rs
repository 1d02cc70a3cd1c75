//! gRPC with grpcio (gRPC Core) on both sides.

use std::process::Command;
use std::time::Duration;

use tollgate_testkit::refusing;

use crate::foreign::Foreign;
use crate::python::python;
use crate::{NAME, certified, launch, wait_until};

/// More than all cases of the client take on a slow machine.
const LIMIT: Duration = Duration::from_secs(90);

const ROUTES: &str = "\
routes:
  - { name: echo, grpc: { service: test.Echo }, to: echo, retry: none }
  - { name: down, grpc: { service: test.Down }, to: down, retry: none }
  - { name: hasty, grpc: { service: test.Hasty }, to: echo, timeouts: { total: 300ms } }
";

/// A server and the address it listens at.
fn serve(arguments: &[&std::path::Path]) -> Option<(Foreign, String)> {
    let mut server = Foreign::start(python("grpc_server.py")?.args(arguments));
    let line = server.line("port ");
    let port = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    Some((server, format!("127.0.0.1:{port}")))
}

fn call_everything(client: &mut Command) {
    let said = Foreign::start(client).succeed(LIMIT);
    assert!(said.ends_with("all is well\n"), "{said}");
}

#[test]
fn calls_of_all_kinds_pass_in_plain_text() {
    let Some((_server, endpoint)) = serve(&[]) else { return };
    let (down, _guard) = refusing();
    let document = format!(
        "listen: \"127.0.0.1:0\"\nupstreams:\n  echo: {{ endpoints: [\"{{echo}}\"], protocol: grpc }}\n  \
         down: {{ endpoints: [\"{{down}}\"], protocol: grpc }}\n{ROUTES}"
    );
    let tollgate = launch(1, &document, &[("echo", &endpoint), ("down", &down)]);
    let Some(mut client) = python("grpc_client.py") else { return };
    call_everything(client.arg(tollgate.address().to_string()));
}

#[test]
fn calls_of_all_kinds_pass_with_tls_on_both_sides() {
    let (authority, cert) = certified();
    let Some((_server, endpoint)) = serve(&[&cert.key, &cert.cert]) else { return };
    let (down, _guard) = refusing();
    let document = format!(
        "listen: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{{cert}}] }} }}\nupstreams:\n  \
         echo: {{ endpoints: [\"{{echo}}\"], protocol: grpc, tls: {{ ca: \"{{ca}}\", name: {NAME} }} }}\n  \
         down: {{ endpoints: [\"{{down}}\"], protocol: grpc, tls: {{ ca: \"{{ca}}\", name: {NAME} }} }}\n{ROUTES}"
    );
    let ca = authority.roots();
    let values: &[(&str, &dyn std::fmt::Display)] =
        &[("echo", &endpoint), ("down", &down), ("cert", &cert.yaml()), ("ca", &ca.display())];
    let tollgate = launch(1, &document, values);
    let Some(mut client) = python("grpc_client.py") else { return };
    call_everything(client.arg(tollgate.address().to_string()).arg(&ca).arg(NAME));
}

#[test]
fn a_server_is_probed_by_the_health_protocol() {
    let Some((server, endpoint)) = serve(&[]) else { return };
    let document = "listen: \"127.0.0.1:0\"\nupstreams:\n  echo: { endpoints: [\"{echo}\"], protocol: grpc, \
                    health: { grpc: {}, every: 100ms, timeout: 90ms } }\nroutes: [{ grpc: { service: test.Echo }, to: echo }]\n";
    let tollgate = launch(1, document, &[("echo", &endpoint)]);
    let healthy = format!("tollgate_endpoint_healthy{{upstream=\"echo\",endpoint=\"{endpoint}\"}}");
    tollgate.await_metric(&healthy, 1.0);
    drop(server);
    wait_until("the endpoint is down", || tollgate.metric(&healthy) == 0.0);
}

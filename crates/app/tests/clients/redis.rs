//! Redis through TCP listeners, with and without TLS.

use std::process::Command;

use crate::foreign::{Foreign, free_address, program, succeed};
use crate::{NAME, certified, launch};

#[test]
fn a_data_store_is_spoken_to_through_tcp_and_tls() {
    let Some(redis) = program("redis-server", "redis-server") else { return };
    let Some(cli) = program("redis-cli", "redis-tools") else { return };
    let Some(benchmark) = program("redis-benchmark", "redis-tools") else { return };
    let address = free_address();
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(redis);
    command.args(["--port", &address.port().to_string(), "--bind", &address.ip().to_string(), "--save", ""]);
    command.args(["--appendonly", "no", "--daemonize", "no"]).arg("--dir").arg(directory.path());
    let _server = Foreign::serve(&mut command, address);
    let (authority, cert) = certified();
    let document = "listen:\n  - { tcp: \"127.0.0.1:0\", to: redis }\n  \
                    - { tcp: \"127.0.0.1:0\", tls: { certificates: [{cert}] }, to: redis }\n\
                    upstreams: { redis: { endpoints: [\"{redis}\"] } }\n";
    let tollgate = launch(2, document, &[("cert", &cert.yaml()), ("redis", &address)]);
    let ca = authority.roots();
    let secured = ["--tls", "--sni", NAME, "--cacert", ca.to_str().unwrap()];
    for (number, tls) in [&[][..], &secured].into_iter().enumerate() {
        let port = tollgate.addresses()[number].port().to_string();
        let at = [&["-h", "127.0.0.1", "-p", &port][..], tls].concat();
        let ask = |arguments: &[&str]| succeed(Command::new(&cli).args(&at).args(arguments));
        assert_eq!(ask(&["PING"]), "PONG\n");
        let value = "v".repeat(100_000);
        assert_eq!(ask(&["SET", "key", &value]), "OK\n");
        assert_eq!(ask(&["GET", "key"]), format!("{value}\n"));
        // Pipelined, from many connections at once.
        let load = ["-n", "5000", "-c", "20", "-P", "8", "-d", "2000", "-t", "set,get", "--csv"];
        let told = succeed(Command::new(&benchmark).args(&at).args(load));
        assert!(told.contains("\"SET\"") && told.contains("\"GET\"") && !told.contains("Error"), "{told}");
    }
}

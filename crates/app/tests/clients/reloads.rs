//! A hundred reloads and certificates that are replaced, under the load of programs that nobody here wrote.

use std::fmt::Display;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tollgate_testkit::{Issued, Launch, Tollgate, run};

use crate::foreign::{Foreign, program, succeed};
use crate::python::python;
use crate::{NAME, PRELUDE, PROGRAM, certified, origin, wait_until};

const RELOADS: usize = 100;
/// A certificate is replaced at each reload of this number.
const REPLACED_AT: usize = 10;
const LIMIT: Duration = Duration::from_secs(120);

/// The document of a step: everything that the load does not need comes and goes.
fn document(step: usize) -> String {
    let extra: String = (0..step % 5)
        .map(|number| format!("  - {{ name: extra-{number}, path: /extra/{number}, respond: 204 }}\n"))
        .collect();
    let balance = ["round_robin", "least_requests", "random"][step % 3];
    let tickets = !(step / 2).is_multiple_of(4);
    format!(
        "{PRELUDE}listen:\n  \
         - {{ name: web, address: \"127.0.0.1:0\", protocols: [h1, h2, h3], tls: {{ certificates: [{{cert}}], session_tickets: {tickets} }} }}\n  \
         - {{ name: carried, tcp: \"127.0.0.1:0\", to: tcp, idle_timeout: {}s }}\n\
         upstreams:\n  web: {{ endpoints: [\"{{first}}\", \"{{second}}\"], balance: {balance} }}\n  \
         tcp: {{ endpoints: [\"{{second}}\", \"{{first}}\"], balance: {balance} }}\n\
         routes:\n{extra}  - {{ name: all, path: /, to: web }}\n",
        30 + step % 7,
    )
}

/// One run of h2load after the other until told to stop; every request of each must succeed.
fn load(h2load: &Path, stop: &AtomicBool, arguments: &[&str], rounds: &Mutex<usize>) {
    while !stop.load(Ordering::SeqCst) {
        let told = succeed(Command::new(h2load).args(["-n", "1000", "-c", "4", "-t", "1"]).args(arguments));
        let all = "1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(told.contains(all) && told.contains("status codes: 1000 2xx"), "{arguments:?}: {told}");
        *rounds.lock().unwrap() += 1;
    }
}

/// What clients of new connections are shown becomes this certificate.
fn await_shown(tollgate: &Tollgate, cert: &Issued) {
    let openssl = program("openssl", "openssl").unwrap();
    let at = tollgate.address().to_string();
    let leaf: String = cert.cert_pem.split_inclusive("-----END CERTIFICATE-----").take(1).collect();
    wait_until("the new certificate is shown", || {
        succeed(Command::new(&openssl).args(["s_client", "-servername", NAME, "-connect", &at]))
            .contains(&leaf)
    });
}

fn reload_all(tollgate: &Tollgate, cert: &Issued, others: &[Issued], text: impl Fn(usize) -> String) {
    for step in 1..=RELOADS {
        std::fs::write(tollgate.directory().join("tollgate.yaml"), text(step)).unwrap();
        let output = run(Command::new(PROGRAM).arg("reload").env("TOLLGATE_SOCKET", tollgate.socket()));
        assert_eq!(output.code, Some(0), "step {step}: {output:?}");
        if step.is_multiple_of(REPLACED_AT) {
            // With no reload: changed files are seen.
            let other = &others[step / REPLACED_AT % others.len()];
            cert.replace_with(other);
            await_shown(tollgate, other);
        }
    }
}

#[test]
fn a_hundred_reloads_and_new_certificates_lose_no_request_in_any_protocol() {
    let Some(h2load) = program("h2load", "nghttp2-client") else { return };
    if program("openssl", "openssl").is_none() {
        return;
    }
    let (authority, cert) = certified();
    let others = ["one", "two"].map(|file| authority.issue(file, &[NAME, "127.0.0.1"]));
    let origins = [origin(), origin()];
    let values: &[(&str, &dyn Display)] =
        &[("cert", &cert.yaml()), ("first", &origins[0].address()), ("second", &origins[1].address())];
    let text = |step: usize| {
        values.iter().fold(document(step), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), &value.to_string())
        })
    };
    let tollgate = Launch::new(PROGRAM, &text(0)).listeners(2).start();
    let [web, carried] = [tollgate.addresses()[0], tollgate.addresses()[1]];
    let stop_file = tollgate.directory().join("stop");
    let Some(mut h3_load) = python("h3_load.py") else { return };
    h3_load.arg(web.port().to_string()).arg(authority.roots()).arg(NAME).arg(&stop_file);
    let mut h3_load = Foreign::start(&mut h3_load);
    let stop = AtomicBool::new(false);
    let (secured, plain) = (format!("https://{web}/a"), format!("http://{carried}/a"));
    let loads = [vec!["--h1", &*secured], vec!["-m", "16", &secured], vec!["--h1", &plain]];
    let rounds = [(); 3].map(|()| Mutex::new(0));
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        for (arguments, rounds) in loads.iter().zip(&rounds) {
            scope.spawn(|| load(&h2load, &stop, arguments, rounds));
        }
        h3_load.line("begun");
        let rounds_now = || rounds.iter().map(|rounds| *rounds.lock().unwrap()).collect::<Vec<_>>();
        reload_all(&tollgate, &cert, &others, text);
        // Each has had a whole round after the last of them.
        let before = rounds_now();
        wait_until("another round", || {
            rounds_now().iter().zip(&before).all(|(now, before)| *now > before + 1)
        });
    });
    std::fs::write(&stop_file, "").unwrap();
    let told = h3_load.succeed(LIMIT);
    assert!(told.contains("all is well"), "{told}");
    eprintln!("rounds of 1000: {rounds:?}; HTTP/3: {}", told.lines().last().unwrap_or_default());
}

/// Ends the load also when the test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

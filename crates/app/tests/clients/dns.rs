//! DNS through a UDP and a TCP listener: dnsmasq answers, dig asks.

use std::net::SocketAddr;
use std::process::Command;

use crate::foreign::{Foreign, free_address, program, succeed};
use crate::launch;

/// What dig says of a question.
fn dig(at: SocketAddr, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program("dig", "bind9-dnsutils")?);
    command.arg(format!("@{}", at.ip())).args(["-p", &at.port().to_string(), "+tries=1", "+time=10"]);
    Some(succeed(command.args(arguments)))
}

#[test]
fn questions_are_answered_by_udp_and_by_tcp() {
    let Some(dnsmasq) = program("dnsmasq", "dnsmasq-base") else { return };
    let address = free_address();
    let mut command = Command::new(dnsmasq);
    command.args([
        "--no-daemon",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
        "--log-facility=-",
    ]);
    command.args(["--user=", "--group=", "--pid-file=", "--edns-packet-max=4096"]);
    command.arg(format!("--port={}", address.port())).arg(format!("--listen-address={}", address.ip()));
    command.args(["--address=/shop.example/192.0.2.7"]);
    // Too long for a datagram without EDNS.
    for number in 0..12 {
        command.arg(format!("--txt-record=many.example,{number}{}", "t".repeat(120)));
    }
    let _server = Foreign::serve(&mut command, address);
    let document = "listen:\n  - { udp: \"127.0.0.1:0\", to: dns, flows: { idle_timeout: 2s, max_per_address: 10000 } }\n  \
                    - { tcp: \"127.0.0.1:0\", to: dns }\nupstreams: { dns: { endpoints: [\"{dns}\"] } }\n";
    let tollgate = launch(2, document, &[("dns", &address)]);
    let [udp, tcp] = [tollgate.addresses()[0], tollgate.addresses()[1]];
    let Some(answer) = dig(udp, &["+short", "a.shop.example", "A"]) else { return };
    assert_eq!(answer, "192.0.2.7\n");
    assert_eq!(dig(tcp, &["+tcp", "+short", "b.shop.example", "A"]).unwrap(), "192.0.2.7\n");
    // Large answers: whole with EDNS, marked as cut without, whole by TCP.
    let whole = |said: &str| said.matches(&"t".repeat(120)).count() == 12;
    assert!(whole(&dig(udp, &["+bufsize=4096", "many.example", "TXT"]).unwrap()));
    let cut = dig(udp, &["+noedns", "+ignore", "many.example", "TXT"]).unwrap();
    assert!(cut.contains("flags: qr aa tc rd"), "{cut}");
    assert!(whole(&dig(tcp, &["+tcp", "many.example", "TXT"]).unwrap()));
    // Many flows at once.
    let questions = tempfile::NamedTempFile::new().unwrap();
    let lines: String = (0..300).map(|number| format!("n{number}.shop.example A +short\n")).collect();
    std::fs::write(questions.path(), lines).unwrap();
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let file = questions.path().to_str().unwrap().to_owned();
            std::thread::spawn(move || dig(udp, &["+tries=6", "+timeout=3", "-f", &file]).unwrap())
        })
        .collect();
    for asked in asking {
        // dig lets the kernel share ports (SO_REUSEPORT): now and then one of its sockets gets the listener's own port
        // and hears its own question, or one that another dig has, and hears that one's answer or none. Of the first two
        // it says so and gives up, after the third it asks again.
        let said = asked.join().unwrap();
        let lines = |wanted: fn(&str) -> bool| said.lines().filter(|line| wanted(line)).count();
        let answered = lines(|line| line == "192.0.2.7");
        let misled = lines(|line| line.contains("query response not set") || line.contains("ID mismatch"));
        let asked_again = lines(|line| line.contains("timed out"));
        assert_eq!(answered + misled + asked_again, said.lines().count(), "{said}");
        assert!(answered + misled >= 300 && misled <= 5, "{said}");
    }
}

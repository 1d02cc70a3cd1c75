//! Certificates that are replaced on disk.

use tollgate_testkit::{Authority, TlsClient, Versions, Wanted, replace};

use super::{RESPOND, Site, get, until};
use crate::verbs::{json_of, verb};

fn shown(site: &Site) -> Vec<u8> {
    site.client().forgetful().connect(site.tollgate.address()).handshake().chain[0].clone()
}

#[test]
fn a_new_certificate_is_taken_without_a_reload_and_without_touching_a_connection() {
    let site = Site::start("", "", RESPOND);
    let remembering = TlsClient::made(&site.authority, "shop.example", Versions::Tls13, None);
    let mut open = remembering.connect(site.tollgate.address());
    assert_eq!(open.request(get("shop.example")).text(), "fine");
    let next = site.authority.make("next", &Wanted::new(&["shop.example"]).serial(4711));
    site.issued.replace_with(&next);
    until("the new certificate is shown", || shown(&site) == next.der().to_vec());
    let said = site.tollgate.stderr_line("was replaced");
    assert!(said.contains("shop.pem") && said.contains("for shop.example"), "{said}");
    assert_eq!(open.request(get("shop.example")).text(), "fine");
    assert_eq!(open.handshake().chain[0], site.issued.der().to_vec());
    // Sessions of before are still resumed.
    let mut again = remembering.connect(site.tollgate.address());
    assert_eq!(again.request(get("shop.example")).text(), "fine");
    assert!(again.handshake().resumed);
    site.tollgate.await_metric("tollgate_certificates_replaced_total{result=\"ok\"}", 1.0);
    assert_eq!(site.tollgate.metric("tollgate_config_number"), 1.0);
}

#[test]
fn files_that_cannot_be_used_leave_the_certificate_and_are_told() {
    let site = Site::start("", "", RESPOND);
    let path = site.issued.cert.display();
    let series = format!(
        "tollgate_certificate_stuck{{listener=\"web\",certificate=\"{path}\",names=\"shop.example\"}}"
    );
    assert!(site.tollgate.admin("/metrics").1.contains(&format!("{series} 0\n")));
    // Another certificate, for which the key is not.
    let next = site.authority.issue("next", &["shop.example"]);
    replace(&site.issued.cert, &next.cert_pem);
    let said = site.tollgate.stderr_line("serves on");
    assert!(said.contains("the key does not belong to the certificate"), "{said}");
    assert_eq!(shown(&site), site.issued.der().to_vec());
    assert_eq!(site.tollgate.metric(&series), 1.0);
    assert_eq!(site.tollgate.metric("tollgate_certificates_replaced_total{result=\"failed\"}"), 1.0);
    let status = json_of(&verb(&site.tollgate, &["status", "--json"]));
    let warning = status["certificates"][0]["warnings"][0].as_str().unwrap().to_owned();
    assert!(warning.contains("does not belong") && warning.contains("serves on"), "{warning}");
    assert!(verb(&site.tollgate, &["status"]).stdout.contains("does not belong"));
    // The key follows, and all is well.
    replace(&site.issued.key, &next.key_pem);
    until("the new certificate is shown", || shown(&site) == next.der().to_vec());
    site.tollgate.await_metric(&series, 0.0);
    let status = json_of(&verb(&site.tollgate, &["status", "--json"]));
    assert_eq!(status["certificates"][0]["warnings"].as_array().unwrap().len(), 0, "{status}");
}

#[test]
fn the_status_tells_of_certificates() {
    let authority = Authority::new("Status CA");
    let soon = authority.make("soon", &Wanted::new(&["soon.example", "*.soon.example"]).days(-1, 5));
    let late = authority.make("late", &Wanted::new(&["late.example"]).days(-5, -1));
    let document = format!(
        "{}listen: {{ address: \"127.0.0.1:0\", name: web, tls: {{ certificates: [{}, {}] }} }}\n{RESPOND}",
        super::PRELUDE,
        soon.yaml(),
        late.yaml()
    );
    let tollgate = tollgate_testkit::Launch::new(crate::PROGRAM, &document).start();
    let text = verb(&tollgate, &["status"]).stdout;
    for part in [
        "CERTIFICATE FOR",
        "soon.example, *.soon.example",
        "the certificate expires in ",
        "has expired",
        "CN=Status CA",
        "ecdsa",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let status = json_of(&verb(&tollgate, &["status", "--json"]));
    let first = &status["certificates"][0];
    assert_eq!(first["names"], serde_json::json!(["soon.example", "*.soon.example"]));
    assert_eq!(first["listeners"], serde_json::json!(["web"]));
    assert_eq!(first["id"], soon.cert.to_str().unwrap());
    assert_eq!(first["key_file"], soon.key.to_str().unwrap());
    let (_, metrics) = tollgate.admin("/metrics");
    let label = format!("certificate=\"{}\",names=\"soon.example,*.soon.example\"}} ", soon.cert.display());
    let line = metrics.lines().find(|line| line.contains(&label)).unwrap_or_else(|| panic!("{metrics}"));
    let expiry: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((now + 4 * 86_400..now + 6 * 86_400).contains(&expiry), "{line}");
}

//! Certificates on disk: read, replaced, and refused with a reason.

mod parts;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parts::{Authority, acceptor, carry, client_settings, connector, handshake, sides};
use tollgate_tls::{Acceptor, Certificate, CertificateFiles, Connector, Roots, ServerSettings};

fn files(folder: &Path) -> CertificateFiles {
    CertificateFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem"), ocsp: None }
}

fn write(files: &CertificateFiles, (chain, key): &(String, String)) {
    fs::write(&files.cert, chain).expect("written");
    fs::write(&files.key, key).expect("written");
}

fn serial(connector: &Connector, acceptor: &Arc<Acceptor>) -> Vec<u8> {
    let (mut client, mut server) = sides(connector, "shop.example", acceptor);
    assert_eq!(handshake(&mut client, &mut server), (Ok(()), Ok(())));
    client.session.peer_certificate().expect("a certificate").to_vec()
}

/// Files whose times are certain to differ from those before.
fn touch(path: &Path, seconds: u64) {
    let file = fs::File::options().write(true).open(path).expect("opened");
    file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).expect("a time");
}

#[test]
fn what_changes_on_disk_is_taken_and_what_is_bad_is_not() {
    let authority = Authority::new("CA");
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(folder.path());
    let first = authority.issue(&["shop.example"]);
    write(&files, &first);
    let certificate = Certificate::from_files(&files).expect("a certificate");
    let acceptor = acceptor(ServerSettings::default(), vec![certificate]);
    let connector = connector(client_settings(authority.roots()));
    let before = serial(&connector, &acceptor);
    let (mut client, mut server) = sides(&connector, "shop.example", &acceptor);
    assert_eq!(handshake(&mut client, &mut server), (Ok(()), Ok(())));
    let refreshed = acceptor.certificates().refresh();
    assert!(refreshed.changed.is_empty() && refreshed.problems.is_empty());

    // Touched, but the same.
    touch(&files.cert, 1_000);
    let refreshed = acceptor.certificates().refresh();
    assert!(refreshed.changed.is_empty() && refreshed.problems.is_empty());

    // A new certificate, whose key is not there yet.
    let second = authority.issue(&["shop.example"]);
    fs::write(&files.cert, &second.0).expect("written");
    touch(&files.cert, 2_000);
    let refreshed = acceptor.certificates().refresh();
    assert!(refreshed.changed.is_empty());
    let problem = refreshed.problems[0].to_string();
    assert_eq!(problem, format!("{}: the key does not belong to the certificate", files.key.display()));
    assert_eq!(serial(&connector, &acceptor), before);

    fs::write(&files.cert, "nonsense").expect("written");
    touch(&files.cert, 3_000);
    let refreshed = acceptor.certificates().refresh();
    let problem = refreshed.problems[0].to_string();
    assert_eq!(problem, format!("{}: there is no certificate in it", files.cert.display()));
    fs::remove_file(&files.cert).expect("removed");
    let problem = acceptor.certificates().refresh().problems[0].to_string();
    assert!(problem.starts_with(&format!("{}: cannot be read: ", files.cert.display())), "{problem}");
    assert_eq!(serial(&connector, &acceptor), before);

    write(&files, &second);
    touch(&files.cert, 4_000);
    let refreshed = acceptor.certificates().refresh();
    assert_eq!(refreshed.changed, [files.cert.display().to_string()]);
    assert!(refreshed.problems.is_empty());
    assert_ne!(serial(&connector, &acceptor), before);
    // The connection that was there has not noticed.
    assert_eq!(carry(&mut client, &mut server, b"still here", 20), b"still here");
}

#[test]
fn a_staple_from_a_file_is_sent() {
    let authority = Authority::new("CA");
    let folder = tempfile::tempdir().expect("a folder");
    let files = CertificateFiles { ocsp: Some(folder.path().join("staple.der")), ..files(folder.path()) };
    write(&files, &authority.issue(&["shop.example"]));
    let staple = files.ocsp.clone().expect("a path");
    fs::write(&staple, b"a response").expect("written");
    let certificate = Certificate::from_files(&files).expect("a certificate");
    let id = certificate.id().to_owned();
    let acceptor = acceptor(ServerSettings::default(), vec![certificate]);
    let stapled = || {
        let seen = Arc::new(parts::Staples::default());
        let mut plain = parts::Plain::new(&seen.clone().client(), "shop.example");
        let mut server = parts::Side { session: acceptor.accept(), end: plain.other.clone() };
        plain.handshake(&mut server).expect("a handshake");
        seen.last()
    };
    assert_eq!(stapled(), b"a response");
    assert!(acceptor.certificates().describe()[0].is_stapled);
    assert!(acceptor.certificates().staple(&id, Some(b"another".to_vec())));
    assert_eq!(stapled(), b"another");
    // A fetched staple outlives a file that is only touched.
    touch(&files.cert, 1_000);
    acceptor.certificates().refresh();
    assert_eq!(stapled(), b"another");
    fs::write(&staple, b"from disk").expect("written");
    touch(&staple, 2_000);
    assert_eq!(acceptor.certificates().refresh().changed, [id.as_str()]);
    assert_eq!(stapled(), b"from disk");
    assert!(acceptor.certificates().staple(&id, None));
    assert_eq!(stapled(), b"");
    assert!(!acceptor.certificates().staple("nobody", None));
}

#[test]
fn certificates_are_described() {
    let authority = Authority::new("Test CA");
    let names = ["Shop.example", "*.shop.example", "10.0.0.1", "::1"];
    let (chain, key) = authority.issue_with(&names, &rcgen::PKCS_ED25519, |params| {
        params.serial_number = Some(vec![1, 0xab].into());
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let certificate =
        Certificate::from_pem("inline", chain.as_bytes(), key.as_bytes()).expect("a certificate");
    let what = certificate.describe();
    assert_eq!(what.names, ["shop.example", "*.shop.example", "10.0.0.1", "::1"]);
    assert!(what.issuer.contains("CN=Test CA"), "{}", what.issuer);
    assert_eq!((what.serial.as_str(), what.kind.as_str()), ("01ab", "ed25519"));
    assert_eq!((what.not_before, what.not_after), (1_577_836_800, 1_609_459_200));
    assert!(certificate.warnings(Duration::from_secs(1_600_000_000)).is_empty());
    let late = certificate.warnings(Duration::from_secs(1_700_000_000));
    assert_eq!(late, ["inline: the certificate has expired"]);
    let soon = |seconds: u64| certificate.warnings(Duration::from_secs(1_609_459_200 - seconds));
    assert_eq!(soon(14 * 86_400 - 1), ["inline: the certificate expires in 13 days"]);
    assert_eq!(soon(86_400), ["inline: the certificate expires in 1 day"]);
    assert_eq!(soon(60), ["inline: the certificate expires in less than a day"]);
    assert!(soon(14 * 86_400 + 1).is_empty());
    let early = certificate.warnings(Duration::from_secs(1_500_000_000));
    assert_eq!(early, ["inline: the certificate is not valid yet"]);
    assert!(!format!("{certificate:?}").contains("PRIVATE"));
}

#[test]
fn what_cannot_be_used_is_named() {
    let (chain, key) = Authority::new("CA").issue(&["shop.example"]);
    let (_, other) = Authority::new("CA").issue(&["shop.example"]);
    let problem = |chain: &str, key: &str| {
        let result = Certificate::from_pem("it", chain.as_bytes(), key.as_bytes());
        result.expect_err("a problem").to_string()
    };
    assert_eq!(problem("", &key), "there is no certificate in it");
    assert_eq!(problem(&key, &key), "there is no certificate in it");
    assert!(problem(&chain, "").starts_with("there is no private key in it"));
    assert_eq!(problem(&chain, &other), "the key does not belong to the certificate");
    let broken = chain.replacen("MII", "AAA", 1);
    assert!(problem(&broken, &key).starts_with("the first certificate is malformed"));
    assert!(problem(&chain[..chain.len() / 2], &key).starts_with("malformed PEM"));
    let empty = Roots::from_pem(key.as_bytes()).expect_err("no authority");
    assert_eq!(empty.to_string(), "there is no certificate in it");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.pem");
    fs::write(&path, vec![b'\n'; 2 * 1024 * 1024]).expect("written");
    let large = Roots::from_file(&path).expect_err("too large");
    assert_eq!(large.to_string(), format!("{}: is larger than 1 MiB", path.display()));
}

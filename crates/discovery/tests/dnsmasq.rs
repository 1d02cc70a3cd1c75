//! Names asked of dnsmasq, which nobody here wrote.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_discovery::dns::{Client, DnsSource, Family, Settings, Wanted};
use tollgate_discovery::{Look, Source};
use tollgate_testkit::PATIENCE;

/// Set to skip what cannot be run on this machine.
const SKIP: &str = "TOLLGATE_SKIP_MISSING_CLIENTS";

/// A name server that ends with the test.
struct Dnsmasq(Child, SocketAddr);

impl Dnsmasq {
    /// `None` where it is missing and that may be.
    fn start(arguments: &[&str]) -> Option<Self> {
        // Of an address of its own, so that no connection of another test takes the port.
        let address = TcpListener::bind("127.0.91.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new("dnsmasq");
        command.args([
            "--no-daemon",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
        ]);
        command.args(["--user=", "--group=", "--pid-file="]).args(arguments);
        command.arg(format!("--port={}", address.port())).arg(format!("--listen-address={}", address.ip()));
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let set = std::env::var_os(SKIP).is_some();
                assert!(set, "dnsmasq: {error}: install the Debian package dnsmasq-base, or set {SKIP}=1");
                return None;
            }
        };
        let (mut server, until) = (Self(child, address), Instant::now() + PATIENCE);
        while TcpStream::connect(address).is_err() {
            let gone = server.0.try_wait().unwrap();
            assert!(gone.is_none() && Instant::now() < until, "dnsmasq does not listen: {gone:?}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Some(server)
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn addresses_aliases_and_services_are_found() {
    let Some(server) = Dnsmasq::start(&[
        "--host-record=a.internal,192.0.2.1,2001:db8::1,30",
        "--host-record=b.internal,192.0.2.2,40",
        "--cname=alias.internal,a.internal,20",
        "--srv-host=_http._tcp.api.internal,a.internal,81,0,5",
        "--srv-host=_http._tcp.api.internal,b.internal,82,10,7",
        "--local=/internal/",
    ]) else {
        return;
    };
    let settings = Settings { resolvers: vec![server.1], timeout: Duration::from_secs(5) };
    let client = Arc::new(Client::new(settings));
    let look = async |wanted: Wanted| {
        let look = DnsSource::new(client.clone(), wanted, Family::Any, 1_000).look(None).await;
        let Look::List { mut found, fresh_ms, problem: None } = look else { panic!("{look:?}") };
        found.sort_by_key(|found| found.address);
        let shown = found.iter().map(|f| format!("{} {} {} {}", f.name, f.address, f.weight, f.priority));
        (shown.collect::<Vec<_>>(), fresh_ms)
    };
    let host = |name: &str| Wanted::Host { host: name.into(), port: 80, weight: 1 };
    let (found, fresh_ms) = look(host("a.internal")).await;
    assert_eq!(found, ["a.internal:80 192.0.2.1:80 1 0", "a.internal:80 [2001:db8::1]:80 1 0"]);
    assert_eq!(fresh_ms, Some(30_000));
    let (found, fresh_ms) = look(host("alias.internal")).await;
    assert_eq!(found.len(), 2);
    assert_eq!(fresh_ms, Some(20_000));
    let (found, _) = look(Wanted::Service("_http._tcp.api.internal".into())).await;
    assert_eq!(
        found,
        [
            "a.internal:81 192.0.2.1:81 5 0",
            "b.internal:82 192.0.2.2:82 7 10",
            "a.internal:81 [2001:db8::1]:81 5 0"
        ]
    );
    let source = DnsSource::new(client.clone(), host("nobody.internal"), Family::Any, 10);
    assert!(matches!(source.look(None).await, Look::Nothing(_)));
}

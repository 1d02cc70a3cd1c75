//! What the running program tells about itself, as those read it that it is for: the list of metrics, the
//! dashboard, the alerts, Prometheus, orchestrators.

mod health;
mod names;
mod prometheus;

use std::net::{SocketAddr, UdpSocket};

use tollgate_testkit::{Authority, Launch, Origin, PATIENCE, TlsClient, Tollgate, refusing};

/// The binary under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate");

/// A program that has had something to tell about everything.
struct Busy {
    tollgate: Tollgate,
    origin: Origin,
    /// Takes datagrams, and answers one.
    _names: UdpSocket,
    _refusing: Box<dyn std::any::Any>,
}

impl Busy {
    /// Starts it, and sends what makes it busy.
    fn start() -> Self {
        let origin = Origin::answering(|request| {
            let status = if request.target() == "/shop/missing" { "404 Not Found" } else { "200 OK" };
            format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok").into_bytes()
        });
        let (refused, guard) = refusing();
        let authority = Authority::new("Test CA");
        let issued = authority.issue("shop", &["shop.example"]);
        let names = UdpSocket::bind("127.0.0.1:0").unwrap();
        let document = format!(
            "version: 1\nworkers: 2\naccess_log: none\n\
             listen:\n  - {{ address: \"127.0.0.1:0\", name: web }}\n  \
             - {{ udp: \"127.0.0.1:0\", name: dns, to: names }}\n  \
             - {{ address: \"127.0.0.1:0\", name: secured, tls: {{ certificates: {} }} }}\n  \
             - {{ address: \"127.0.0.1:0\", name: ordered, tls: {{ acme: [shop.example.com] }} }}\n\
             acme: {{ directory: \"https://{refused}/directory\", storage: kept, challenge: tls-alpn-01 }}\n\
             admin: {{ listen: \"127.0.0.1:0\" }}\nconsumer_files: \"*.consumers\"\n\
             redis: {{ shared: {{ url: \"redis://{refused}\" }} }}\n\
             upstreams:\n  shop: {{ endpoints: [\"{}\", \"{refused}\"], ejection: none, sticky: {{ cookie: shop }}, concurrency: 100000, queue: {{}}, circuit_breaker: {{ shadow: true }} }}\n  \
             gone: {{ endpoints: [\"{refused}\", {{ file: gone.txt }}], ejection: {{ shadow: true }}, health: {{ tcp: {{}}, every: 1h }} }}\n  names: [\"{}\"]\n\
             routes:\n  - {{ name: shop, path: /shop, to: shop, retry: {{ attempts: 2 }}, rate_limit: 1000/s }}\n  \
             - {{ name: gone, path: /gone, to: gone, retry: none, mirror: {{ to: shop, share: 0% }} }}\n",
            issued.yaml(),
            origin.address(),
            names.local_addr().unwrap()
        );
        let tollgate = Launch::new(PROGRAM, &document).listeners(4).start();
        std::fs::write(tollgate.directory().join("gone.txt"), format!("{refused}\n")).unwrap();
        tollgate
            .await_metric("tollgate_discovery_endpoints{upstream=\"gone\",source=\"file gone.txt\"}", 1.0);
        // A handshake, and no request.
        let mut secured = TlsClient::new(&authority, "shop.example").connect(tollgate.addresses()[2]);
        secured.finish_tls();
        secured.ending();
        exchange_datagrams(tollgate.addresses()[1], &names);
        let mut client = tollgate.connect();
        for (path, status) in
            [("/shop", 200), ("/shop", 200), ("/shop/missing", 404), ("/gone", 502), ("/", 404)]
        {
            assert_eq!(client.request(get(path)).status, status, "{path}");
        }
        let post = "POST /shop HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(client.request(post).status, 200);
        // An exchange is counted a moment after its client has the response.
        tollgate.await_metric("tollgate_exchanges_total{reason=\"forwarded\",side=\"nobody\"}", 4.0);
        Self { tollgate, origin, _names: names, _refusing: Box::new(guard) }
    }

    /// Its metrics.
    fn metrics(&self) -> String {
        let (status, text) = self.tollgate.admin("/metrics");
        assert_eq!(status, 200);
        text
    }
}

fn exchange_datagrams(listener: SocketAddr, names: &UdpSocket) {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"question", listener).unwrap();
    for socket in [&client, names] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let (_, asker) = names.recv_from(&mut [0; 16]).unwrap();
    names.send_to(b"answer", asker).unwrap();
    assert_eq!(client.recv_from(&mut [0; 16]).unwrap(), (6, listener));
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

/// A file of the repository.
fn repository(path: &str) -> std::path::PathBuf {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

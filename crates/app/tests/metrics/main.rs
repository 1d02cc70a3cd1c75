//! What the running program tells about itself, as those read it that it is for: the list of metrics, the
//! dashboard, the alerts, Prometheus, orchestrators.

mod health;
mod names;
mod prometheus;

use tollgate_testkit::{Launch, Origin, Tollgate, refusing};

/// The binary under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate");

/// A program that has had something to tell about everything.
struct Busy {
    tollgate: Tollgate,
    origin: Origin,
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
        let document = format!(
            "version: 1\nworkers: 2\naccess_log: none\n\
             listen:\n  - {{ address: \"127.0.0.1:0\", name: web }}\n  \
             - {{ address: \"127.0.0.1:0\", name: secured, tls: {{ acme: [shop.example.com] }} }}\n\
             acme: {{ directory: \"https://{refused}/directory\", storage: kept, challenge: tls-alpn-01 }}\n\
             admin: {{ listen: \"127.0.0.1:0\" }}\n\
             upstreams:\n  shop: {{ endpoints: [\"{}\", \"{refused}\"], ejection: none }}\n  \
             gone: {{ endpoints: [\"{refused}\"] }}\n\
             routes:\n  - {{ name: shop, path: /shop, to: shop, retry: {{ attempts: 2 }} }}\n  \
             - {{ name: gone, path: /gone, to: gone, retry: none }}\n",
            origin.address()
        );
        let tollgate = Launch::new(PROGRAM, &document).listeners(2).start();
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
        Self { tollgate, origin, _refusing: Box::new(guard) }
    }

    /// Its metrics.
    fn metrics(&self) -> String {
        let (status, text) = self.tollgate.admin("/metrics");
        assert_eq!(status, 200);
        text
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

/// A file of the repository.
fn repository(path: &str) -> std::path::PathBuf {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

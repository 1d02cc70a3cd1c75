//! The output that the documentation shows is real.

use tollgate_control::why::{Show, why};
use tollgate_control::{Filter, Recorders};
use tollgate_testkit::{Origin, refusing};

use crate::plaza::Plaza;

const DOCUMENT: &str = r#"
version: 1
listen: { address: "127.0.0.1:0", name: web }
upstreams:
  shop: { endpoints: ["REFUSED", "ORIGIN"], ejection: none }
routes:
  - { name: beta, path: /products, match: { headers: { X-Beta: "1" } }, respond: 200 }
  - { name: products, path: /products, to: shop, retry: { attempts: 2 } }
"#;

fn text(recorders: &Recorders) -> String {
    let recorded = recorders.last(1, &Filter::default()).remove(0);
    let snapshot = recorded.entry.snapshot.upgrade();
    why(&recorded, snapshot.as_deref(), Show::default()).to_string()
}

/// What docs/why.md shows; `TOLLGATE_SHOW=1` with `--nocapture` prints it anew.
#[test]
fn the_documented_account_is_what_is_told() {
    let (refused, _guard) = refusing();
    let origin = Origin::start(|connection| drop(connection.request()));
    let document = DOCUMENT.replace("REFUSED", &refused.to_string());
    let plaza = Plaza::start(&document.replace("ORIGIN", &origin.address().to_string()), 1);
    let mut client = plaza.connect();
    let request = "GET /products/7?token=abc HTTP/1.1\r\nHost: shop.example\r\nCookie: id=7\r\n\r\n";
    assert_eq!(client.request(request).status, 502);
    drop(client);
    // The snapshot lives as long as somebody holds it.
    let (recorders, _snapshot) = plaza.end();
    let text = text(&recorders);
    for line in [
        "Cookie: [hidden]",
        "/products/7?token=[hidden]",
        "-> products  matched",
        "beta      header x-beta",
        "made since: the first",
        "route       products: forward to the upstream shop",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    if std::env::var_os("TOLLGATE_SHOW").is_some() {
        eprintln!(
            "{}",
            text.replace(&refused.to_string(), "10.0.0.7:8080")
                .replace(&origin.address().to_string(), "10.0.0.8:8080")
        );
    }
}

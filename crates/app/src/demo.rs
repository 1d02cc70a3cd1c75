//! The demo: a shop of three services in this process, each with several endpoints, and Tollgate
//! before them.

mod shop;

use std::process::ExitCode;

use anyhow::{Context, Result};
use tollgate_control::Process;
use tollgate_control::prepare::Text;

use crate::serving::{self, Manner};

/// Starts the shop and serves its document until a signal ends the process.
pub fn run(listen: &str, admin: &str) -> Result<ExitCode> {
    let shop = shop::open().context("cannot start the shop's services")?;
    let text = document(listen, admin, &shop);
    let document = Text::Inline("the demo's document".to_owned(), text.clone());
    // The shop is in this process.
    let manner = Manner { here_only: true, ..Manner::default() };
    serving::run(document, &manner, |instance| greet(instance.process(), admin, &text))
}

fn document(listen: &str, admin: &str, shop: &shop::Shop) -> String {
    let endpoints = |service: &[std::net::SocketAddr]| {
        service.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ")
    };
    format!(
        r#"version: 1
listen: "{listen}"
admin: {{ listen: "{admin}" }}
access_log: none
upstreams:
  products:
    endpoints: [{products}]
    balance: least_requests
    health: {{ path: /healthz, every: 2s, timeout: 1s }}
  orders:
    endpoints: [{orders}]
  payments:
    endpoints: [{payments}]
    timeouts: {{ first_byte: 1s }}
routes:
  - {{ name: products, path: /products, methods: [GET, HEAD], to: products }}
  - {{ name: orders, path: /orders, to: orders }}
  - {{ name: payments, path: /payments, methods: [POST], to: payments, retry: none }}
  - {{ name: old-shop, path: /shop, redirect: {{ path: {{ prefix: /products }}, status: 301 }} }}
  - {{ name: welcome, path: {{ exact: / }}, respond: {{ status: 200, body: "Welcome to the shop.\n" }} }}
"#,
        products = endpoints(&shop.products),
        orders = endpoints(&shop.orders),
        payments = endpoints(&shop.payments),
    )
}

/// What to try. The document is printed too, since it is the best introduction to documents.
fn greet(process: &Process, admin: &str, document: &str) {
    let at = process.current().addresses().next().map_or_else(String::new, |address| address.to_string());
    eprintln!(
        "
The shop is open. This is the document it runs on:

{document}
Try these in another terminal:

  curl -i http://{at}/products
      one of three endpoints answers; the slow one gets fewer requests (least_requests)
  for i in $(seq 10); do curl -s http://{at}/orders; done
      one of the endpoints drops every third connection; no request is lost
  curl -i -X POST http://{at}/payments -d amount=7
      a payment is never sent twice; every fourth one takes too long: 504, and the body says why
  curl -i -X DELETE http://{at}/products
      404: no route takes this method. The answer names its reason
  curl -i -H 'Content-Length: 5' -H 'Transfer-Encoding: chunked' -d hello http://{at}/orders
      400: a request that could be read in two ways goes no further
  curl -i http://{at}/shop/shoes?size=42
      a redirect that replaces a path prefix
  tollgate status; tollgate top
      what runs, how it does, and what happens now
  curl -s http://{admin}/metrics | grep tollgate_exchanges_total | grep -v ' 0$'
      what happened so far, by reason

And ask the running process:
  tollgate status                     what it does and how it does; `tollgate top` shows it moving
  tollgate why --last                 why the last request that failed was answered as it was
  tollgate logs                       requests as they end

Save the document as shop.yaml to go on from there:
  tollgate check shop.yaml
  tollgate explain -c shop.yaml DELETE http://shop/products
  tollgate diff --traffic shop.yaml   what a changed document would do to the requests so far

Ctrl-C closes the shop.
"
    );
}

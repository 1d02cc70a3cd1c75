use tollgate_control::explain::{MadeUpRequest, explain};

use crate::Place;

/// The route of a call, by name.
fn routed(place: &Place, routes: &str, requests: &[(&str, &str, &str)]) -> Vec<Option<String>> {
    let (snapshot, _) = place.right(&format!("listen: ':80'\nroutes:\n{routes}"));
    let route = |(method, target, content_type): &(&str, &str, &str)| {
        let request = MadeUpRequest {
            method: (*method).to_owned(),
            target: (*target).to_owned(),
            fields: vec![
                ("Host".to_owned(), "a.example".to_owned()),
                ("Content-Type".to_owned(), (*content_type).to_owned()),
                ("Content-Length".to_owned(), "0".to_owned()),
            ],
            seed: 1,
            from: Default::default(),
        };
        explain(&snapshot, &request, 0).route
    };
    requests.iter().map(route).collect()
}

const GRPC: &str = "application/grpc";

#[test]
fn calls_are_matched_by_service_and_method() {
    let routes = "
  - { name: any, grpc: {}, to: '127.0.0.1:1' }
  - { name: service, grpc: shop.Orders, to: '127.0.0.1:1' }
  - { name: method, grpc: { method: List }, to: '127.0.0.1:1' }
  - { name: both, grpc: { service: shop.Orders, method: Create }, to: '127.0.0.1:1' }
  - { name: regex, grpc: { service: { regex: 'shop\\.v[0-9]+\\..*' }, method: { regex: 'Get|Put' } }, to: '127.0.0.1:1' }
  - { name: web, path: /, to: '127.0.0.1:1' }
";
    let calls = [
        ("POST", "/shop.Orders/Create", GRPC, "both"),
        ("POST", "/shop.Orders/Create", "Application/gRPC+proto; charset=utf-8", "both"),
        ("POST", "/shop.Orders/create", GRPC, "service"),
        ("POST", "/shop.Orders2/Create", GRPC, "any"),
        ("POST", "/other.Service/List", GRPC, "method"),
        ("POST", "/shop.v2.Cart/Get", GRPC, "regex"),
        ("POST", "/shop.v2.Cart/GetAll", GRPC, "any"),
        ("POST", "/shop.vx.Cart/Get", GRPC, "any"),
        // The dot of a name is a dot.
        ("POST", "/shopxOrders/Create", GRPC, "any"),
        // No calls.
        ("GET", "/shop.Orders/Create", GRPC, "web"),
        ("POST", "/shop.Orders/Create", "application/json", "web"),
        ("POST", "/shop.Orders/Create", "application/grpc-web", "web"),
        ("POST", "/shop.Orders/Create", "application/grpcx", "web"),
    ];
    let requests: Vec<_> = calls.iter().map(|(method, target, kind, _)| (*method, *target, *kind)).collect();
    let found = routed(&Place::new(), routes, &requests);
    for ((_, target, kind, expected), found) in calls.iter().zip(found) {
        assert_eq!(found.as_deref(), Some(*expected), "{target} {kind}");
    }
}

#[test]
fn headers_and_hosts_come_on_top() {
    let routes = "
  - { name: kind, grpc: shop.Orders, match: { headers: { Content-Type: application/grpc+json } }, to: '127.0.0.1:1' }
  - { name: any, grpc: shop.Orders, to: '127.0.0.1:1' }
  - { name: sized, grpc: shop.Orders, match: { headers: { Content-Length: { present: true } } }, to: '127.0.0.1:1' }
  - { name: host, host: b.example, grpc: {}, to: '127.0.0.1:1' }
  - { name: sized-host, host: a.example, grpc: { method: Get }, to: '127.0.0.1:1' }
";
    let calls =
        [("POST", "/shop.Orders/Create", GRPC), ("POST", "/a.B/Get", GRPC), ("POST", "/a.B/Put", GRPC)];
    let found = routed(&Place::new(), routes, &calls);
    assert_eq!(found, [Some("sized".to_owned()), Some("sized-host".to_owned()), None]);
    // Whoever writes a condition on the content type says which: the usual one is not asked for beside it.
    let routes: String = routes
        .lines()
        .filter(|line| line.contains("kind") || line.contains("any"))
        .map(|l| format!("{l}\n"))
        .collect();
    let calls =
        [("POST", "/shop.Orders/Create", GRPC), ("POST", "/shop.Orders/Create", "application/grpc+json")];
    let found = routed(&Place::new(), &routes, &calls);
    assert_eq!(found, [Some("any".to_owned()), Some("kind".to_owned())]);
}

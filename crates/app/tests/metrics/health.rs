//! `/healthz` and `/readyz`.

use crate::Busy;

#[test]
fn readiness_says_why() {
    let mut busy = Busy::start();
    let tollgate = &busy.tollgate;
    assert_eq!(tollgate.admin("/readyz"), (200, "ready\n".to_owned()));
    let (status, text) = tollgate.admin("/readyz?verbose");
    let address = tollgate.address();
    let lines = [
        "[+] document: number 1, 2 routes, 3 upstreams",
        &format!("[+] listener web: bound to {address}"),
        &format!("[+] listener dns: bound to {}", tollgate.addresses()[1]),
        &format!("[+] listener secured: bound to {}", tollgate.addresses()[2]),
        &format!("[+] listener ordered: bound to {}", tollgate.addresses()[3]),
        "[+] drain: not draining",
        "[i] upstream shop: 2 of 2 endpoints usable",
        "[i] upstream gone: 1 of 1 endpoints usable",
        "[i] upstream names: 1 of 1 endpoints usable",
        "ready",
    ];
    assert_eq!((status, text.lines().collect::<Vec<_>>()), (200, lines.to_vec()));
    assert_eq!(tollgate.admin("/healthz"), (200, "ok\n".to_owned()));
    let alive = "[+] worker 0: runs\n[+] worker 1: runs\nok\n".to_owned();
    assert_eq!(tollgate.admin("/healthz?verbose="), (200, alive.clone()));

    // An exchange that goes on keeps the drain, and with it the admin endpoints.
    let mut client = tollgate.connect();
    client.send("POST /shop HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
    busy.origin.wait_for_connections(busy.origin.connections().max(1));
    tollgate.await_metric("http_server_active_requests{listener=\"web\"}", 1.0);
    tollgate.terminate();
    tollgate.stderr_line("draining");
    let (status, text) = tollgate.admin("/readyz?verbose");
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("[-] drain: draining\n") && text.ends_with("draining\n"), "{text}");
    assert_eq!(tollgate.admin("/readyz"), (503, "draining\n".to_owned()));
    assert_eq!(tollgate.admin("/healthz?verbose"), (200, alive), "a drain is no reason to be killed");
    assert_eq!(tollgate.metric("tollgate_draining"), 1.0);
    client.send("llo");
    assert_eq!(client.response().status, 200);
    drop(client);
    assert_eq!(busy.tollgate.wait().code(), Some(0));
}

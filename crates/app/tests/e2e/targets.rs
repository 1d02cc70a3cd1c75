//! The forms of a request target, and paths in their one spelling.

use tollgate_testkit::Origin;

use crate::{forwarding, get, launch};

#[test]
fn an_absolute_target_stands_in_for_the_host() {
    let origin = Origin::saying("hello");
    let tollgate = forwarding(&origin);
    for (target, path, host) in [
        ("http://b.example/x?y", "/x?y", "b.example"),
        ("HTTP://b.example:8080/", "/", "b.example:8080"),
        ("http://b.example", "/", "b.example"),
        ("http://b.example?q", "/?q", "b.example"),
        ("https://B.Example/a/../c", "/c", "B.Example"),
    ] {
        let response = tollgate.request(format!("GET {target} HTTP/1.1\r\nX: 1\r\nHost: a.example\r\n\r\n"));
        assert_eq!(response.status, 200, "{target}");
        let request = origin.requests().pop().unwrap();
        assert_eq!((request.target(), request.all("host")), (path, vec![host]), "{target}");
        assert_eq!(request.get("x-forwarded-host"), Some(host));
        assert_eq!(&request.names()[..2], ["X", "Host"]);
    }
}

#[test]
fn routes_match_the_host_of_an_absolute_target() {
    let tollgate = launch(
        "routes:\n  - { host: b.example, respond: { body: b } }\n  - { host: a.example, respond: { body: a } }\n",
        &[],
    );
    let response = tollgate.request("GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(response.text(), "b");
    let response = tollgate.request("GET / HTTP/1.1\r\nHost: A.Example.:99\r\n\r\n");
    assert_eq!(response.text(), "a");
}

#[test]
fn options_for_the_server_itself_pass() {
    let origin = Origin::saying("");
    let tollgate = forwarding(&origin);
    assert_eq!(tollgate.request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    assert_eq!(origin.only_request().line(), "OPTIONS * HTTP/1.1");
}

#[test]
fn this_is_no_forward_proxy() {
    let origin = Origin::saying("");
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send("CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n\x16\x03\x01");
    let response = client.response();
    assert_eq!((response.status, response.reason().as_deref()), (501, Some("method_not_served")));
    client.assert_ended();
    assert_eq!(origin.connections(), 0);
}

#[test]
fn origins_get_the_path_that_was_matched() {
    let origin = Origin::saying("");
    let tollgate = launch(
        "routes:\n  - { path: /admin, respond: 403 }\n  - { path: /, to: \"http://{origin}\" }\n",
        &[("origin", &origin.address())],
    );
    for (path, forwarded) in [
        ("/a/./b", "/a/b"),
        ("/a/../b?x=/../y", "/b?x=/../y"),
        ("//a///b", "/a/b"),
        ("/%61%2D%7e", "/a-~"),
        ("/a%20b%c3%a4", "/a%20b%C3%A4"),
        ("/a|b{c}", "/a%7Cb%7Bc%7D"),
        ("/admins", "/admins"),
        ("/a/.", "/a/"),
        ("/plain/path?and=query", "/plain/path?and=query"),
    ] {
        assert_eq!(tollgate.request(get(path)).status, 200, "{path}");
        assert_eq!(origin.requests().pop().unwrap().target(), forwarded);
    }
    let before = origin.requests().len();
    for path in [
        "/admin",
        "/admin/x",
        "/%61dmin",
        "//admin",
        "/x/../admin",
        "/./admin",
        "/x/%2e%2e/admin",
        "/admin/.",
    ] {
        assert_eq!(tollgate.request(get(path)).status, 403, "{path}");
    }
    assert_eq!(origin.requests().len(), before);
}

#[test]
fn paths_can_be_left_as_they_are() {
    let origin = Origin::saying("");
    let tollgate = launch(
        "paths: { merge_slashes: false, encoded_slash: keep }\nroutes: [{ path: /, to: \"http://{origin}\" }]\n",
        &[("origin", &origin.address())],
    );
    for path in ["/a//b", "/@scope%2Fpackage"] {
        assert_eq!(tollgate.request(get(path)).status, 200, "{path}");
        assert_eq!(origin.requests().pop().unwrap().target(), path);
    }
    let response = tollgate.request(get("/a/..%2Fb"));
    assert_eq!(response.reason().as_deref(), Some("bad_path"));
}

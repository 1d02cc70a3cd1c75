//! Keeping connections on both sides.

use tollgate_testkit::Origin;

use crate::{forwarding, get};

#[test]
fn both_sides_are_kept_open() {
    let origin = Origin::saying("hello");
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    for _ in 0..10 {
        let response = client.request(get("/"));
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
        assert_eq!(response.get("connection"), None);
    }
    assert_eq!((origin.connections(), origin.requests().len()), (1, 10));
}

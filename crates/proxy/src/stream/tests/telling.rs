//! What is kept of connections.

use tollgate_decision::Reason;

use super::choosing::hello;
use super::plaza::{Endpoints, Plaza, Setup, dead, pass, read};
use crate::decide::again::verify;
use std::io::Write;

#[test]
fn a_carried_connection_is_recorded_and_decided_the_same_again() {
    let (endpoints, address) = Endpoints::listen();
    let mut setup = Setup::to(&[dead(), address]);
    setup.service.connect_retries = 3;
    setup.service.names = [("a.example".to_owned(), 0)].into();
    let plaza = Plaza::open(setup);
    let bytes = hello(Some("a.example"));
    for round in 1..=4 {
        let mut client = plaza.connect();
        client.write_all(&bytes).unwrap();
        let mut origin = endpoints.accept();
        read(&mut origin, bytes.len());
        pass(&mut origin, &mut client, b"answer");
        drop((client, origin));
        plaza.ended(Reason::ConnectionEnded, round);
    }
    let entries = plaza.all_recorded(4);
    for entry in &entries {
        assert_eq!(verify(&plaza.snapshot, entry), Ok(()));
        assert!(entry.head.is_none());
        assert_eq!((entry.bytes.received, entry.bytes.sent), (bytes.len() as u64, 6));
        assert_eq!(entry.names.upstream.as_deref(), Some("u0"));
        assert_eq!(entry.picks.len(), entry.record.attempts as usize);
        let last = entry.record.kept_attempts().last().unwrap();
        assert_eq!(last.outcome, Some(Reason::ConnectionEnded));
        assert!(last.first_byte_us > 0 && last.end_us >= last.first_byte_us);
    }
    assert!(entries.iter().any(|entry| entry.record.attempts > 1));
    // A change of the record is noticed.
    let mut changed = (*entries[0]).clone();
    changed.record.seed ^= 1;
    changed.record.latest().unwrap().endpoint += 7;
    assert!(verify(&plaza.snapshot, &changed).is_err());
}

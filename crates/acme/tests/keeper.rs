//! Keepers against a real ACME server on loopback, with listeners that do just what challenges need.

mod keeper {
    mod bench;
    mod challenges;
    mod failures;
    mod renewal;
    mod restart;
    mod sharing;
    mod tls_listener;
}

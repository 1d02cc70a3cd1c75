//! Hand-over: other processes take the place of the program while it is used, and nobody but the one who asked for it
//! notices.

mod alternating;
mod failing;
mod http3;
mod sockets;
mod state;
mod under_load;

use tollgate_testkit::Tollgate;

/// Has it hand over to another of its kind, and asserts that it did.
fn hand_over(tollgate: &mut Tollgate) {
    let before = tollgate.process();
    let (status, body) = tollgate.hand_over("{}");
    assert_eq!(status, 200, "{body}");
    assert_ne!(tollgate.process(), before);
}

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tollgate_control::inherited::Passed;

use super::{Departure, Failure, Program, State};

/// What becomes of a hand-over to a program that knows nothing of it.
fn hand_over(program: &str, arguments: &[&str], timeout: Duration) -> Failure {
    let program = Program { path: program.into(), arguments: arguments.iter().map(Into::into).collect() };
    let (socket, _other) = UnixStream::pair().unwrap();
    let socket = OwnedFd::from(socket);
    let passed = vec![Passed { socket, wanted: None, listener: String::new(), quic: None }];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut departure = Departure::begin(program, passed, State::default(), timeout).unwrap();
    runtime.block_on(departure.arrived()).unwrap_err()
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_program_that_is_not_there_cannot_be_started() {
    let failure = hand_over("/nowhere/tollgate", &[], LONG);
    assert!(failure.to_string().starts_with("cannot start /nowhere/tollgate: "), "{failure}");
}

#[test]
fn a_program_that_ends_at_once_is_told_of_with_its_status() {
    let failure = hand_over("/bin/sh", &["-c", "exit 7"], LONG);
    assert!(matches!(failure, Failure::Ended(status) if status.code() == Some(7)), "{failure}");
    let failure = hand_over("/bin/sh", &["-c", "exit 3"], LONG);
    assert!(failure.is_document(), "{failure}");
}

#[test]
fn a_program_that_says_nothing_is_not_waited_for() {
    let failure = hand_over("/bin/sleep", &["600"], Duration::from_millis(50));
    assert!(matches!(failure, Failure::Late(_)), "{failure}");
}

#[test]
fn a_program_that_says_something_else_is_ended() {
    let failure = hand_over("/bin/sh", &["-c", "printf '\\0\\0\\0\\007\"yours\"' >&0; exec sleep 600"], LONG);
    assert!(matches!(failure, Failure::Talk(_)), "{failure}");
}

#[test]
fn giving_up_ends_the_program() {
    let program = Program { path: "/bin/sleep".into(), arguments: vec!["600".into()] };
    let begun = Departure::begin(program, Vec::new(), State::default(), LONG).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let given_up = async { tokio::time::timeout(super::END_TIMEOUT / 2, begun.give_up()).await };
    assert!(runtime.block_on(given_up).is_ok());
}

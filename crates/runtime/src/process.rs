//! Limits of the process.

use std::io;
use std::thread::JoinHandle;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Runs `make` so that files and sockets it makes can be opened by this user only.
pub fn privately<T>(make: impl FnOnce() -> T) -> T {
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let made = make();
    rustix::process::umask(before);
    made
}

/// Raises the limit of open files to what the system allows this process.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

/// How far work in the background steps back: a third of a worker's share of a core that both want.
const NICENESS: i32 = 5;

/// Does work that nobody on the hot path waits for, such as compiling a document, on a thread of its own
/// that steps back behind the workers.
pub fn in_background<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // On Linux a niceness belongs to a thread, so this leaves the others alone. Where it may not be
        // set the work is done all the same.
        if cfg!(target_os = "linux") {
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
        }
        work()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn background_work_steps_back_and_the_other_threads_do_not() {
        let own = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = own();
        let there = super::in_background("test", own).unwrap().join().unwrap();
        assert!(there > before || before >= super::NICENESS, "{there}");
        assert_eq!(own(), before);
    }
}

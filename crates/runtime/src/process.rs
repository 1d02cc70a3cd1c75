//! What the process may take of the machine, and what it takes.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::param::page_size;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

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

/// How far work in the background steps back behind who starts it: a third of a worker's share of a core
/// that both want.
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
            let thread = Some(rustix::thread::gettid());
            let own = rustix::process::getpriority_process(thread).unwrap_or(0);
            let _ = rustix::process::setpriority_process(thread, own.saturating_add(NICENESS).min(19));
        }
        work()
    })
}

/// The processor time that the calling thread has used, in microseconds.
pub fn thread_cpu_us() -> u64 {
    duration(clock_gettime(ClockId::ThreadCPUTime)).as_micros() as u64
}

/// The processor time that all threads of the process have used.
pub fn cpu() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

/// How much of the process's memory is in RAM, in bytes.
pub fn resident_bytes() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.map(|pages| pages * page_size() as u64).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// How many file descriptors are open.
pub fn open_files() -> io::Result<u64> {
    // Reading the directory opens one.
    Ok((std::fs::read_dir("/proc/self/fd")?.count() as u64).saturating_sub(1))
}

/// How many file descriptors the process may open; `None` for any number.
pub fn max_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

fn duration(time: rustix::time::Timespec) -> Duration {
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    #[test]
    fn background_work_steps_back_and_the_other_threads_do_not() {
        let own = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = own();
        let there = super::in_background("test", own).unwrap().join().unwrap();
        assert_eq!(there, (before + super::NICENESS).min(19));
        assert_eq!(own(), before);
    }

    #[test]
    fn usage_is_that_of_this_process() {
        let began = super::thread_cpu_us();
        while super::thread_cpu_us() < began + 1_000 {}
        assert!(super::cpu() >= Duration::from_millis(1));
        let memory = super::resident_bytes().unwrap();
        assert!((100 << 10..1 << 40).contains(&memory), "{memory}");
        let files: Vec<File> = (0..100).map(|_| File::open("/dev/null").unwrap()).collect();
        assert!(super::open_files().unwrap() >= 100);
        drop(files);
        assert!(super::max_files().is_none_or(|max| max >= 100));
    }
}

//! Sockets that a service manager has opened for this process: the protocol of systemd's `LISTEN_FDS`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_setfd};

/// The first descriptor that is passed, by the protocol.
const FIRST: RawFd = 3;
/// More than any machine passes.
const MOST: RawFd = 4096;

/// The sockets that were passed to this process, in their order; none of them is passed on to programs that it
/// starts. To be called once, before anything else opens a file: what the environment promises is believed.
///
/// # Errors
///
/// Where the environment promises what cannot be, or a descriptor that is not there.
pub fn sockets() -> io::Result<Vec<OwnedFd>> {
    let variable = |name| std::env::var(name).ok();
    let Some(count) = promised(variable("LISTEN_PID"), variable("LISTEN_FDS"), std::process::id())? else {
        return Ok(Vec::new());
    };
    (FIRST..FIRST + count).map(take).collect()
}

/// How many descriptors were passed to the process with this id; `None` if nothing is said, or it is said to another.
fn promised(pid: Option<String>, count: Option<String>, own: u32) -> io::Result<Option<RawFd>> {
    if pid.and_then(|pid| pid.parse().ok()) != Some(own) {
        return Ok(None);
    }
    let Some(count) = count else { return Ok(None) };
    let wrong =
        || io::Error::new(io::ErrorKind::InvalidInput, format!("LISTEN_FDS={count} is no number of sockets"));
    let number = count.parse().ok().filter(|number| (0..=MOST).contains(number));
    number.map(Some).ok_or_else(wrong)
}

#[expect(unsafe_code, reason = "a descriptor that comes by its number belongs to nobody yet")]
fn take(descriptor: RawFd) -> io::Result<OwnedFd> {
    // A number behind which there is nothing must not get an owner.
    if !std::path::Path::new("/proc/self/fd").join(descriptor.to_string()).exists() {
        let missing = format!("LISTEN_FDS promises descriptor {descriptor}, which is not open");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, missing));
    }
    // SAFETY: the descriptor is open, as was just seen, and `LISTEN_PID` says that it was passed to this very
    // process, so nothing else in it owns it: this is called before anything is opened, and once for each number.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    fcntl_setfd(&owned, FdFlags::CLOEXEC)?;
    Ok(owned)
}

#[cfg(test)]
mod tests {
    use super::{MOST, promised};

    #[test]
    fn only_what_is_said_to_this_process_counts() {
        let said = |pid: &str, count: &str| promised(Some(pid.to_owned()), Some(count.to_owned()), 7);
        assert_eq!(said("7", "2").unwrap(), Some(2));
        assert_eq!(said("7", "0").unwrap(), Some(0));
        for pid in ["8", "", "seven", "-7"] {
            assert_eq!(said(pid, "2").unwrap(), None, "{pid}");
        }
        assert_eq!(promised(None, Some("2".to_owned()), 7).unwrap(), None);
        assert_eq!(promised(Some("7".to_owned()), None, 7).unwrap(), None);
        for count in ["-1", "two", "", &(MOST + 1).to_string()] {
            assert!(said("7", count).is_err(), "{count}");
        }
    }
}

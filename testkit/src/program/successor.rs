//! Processes that take the place of the program.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal, set_child_subreaper, waitpid,
};

use super::Tollgate;
use crate::PATIENCE;

/// A process that the program has started to take its place. Killed when dropped.
#[derive(Debug)]
pub(super) struct Successor {
    pid: Pid,
    /// The process and no other that gets its number later.
    handle: OwnedFd,
    status: Option<ExitStatus>,
}

impl Successor {
    fn of(pid: u32) -> Self {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).expect("a process has a number");
        let handle = pidfd_open(pid, PidfdFlags::empty()).unwrap_or_else(|e| panic!("process {pid:?}: {e}"));
        Self { pid, handle, status: None }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.handle, signal).unwrap();
    }

    /// Waits for its end, which comes to this process once its parent has ended, too.
    pub(super) fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.status {
                return status;
            }
            if let Ok(Some((_, status))) = waitpid(Some(self.pid), WaitOptions::NOHANG) {
                self.status = Some(ExitStatus::from_raw(status.as_raw()));
                continue;
            }
            assert!(began.elapsed() < PATIENCE, "process {:?} did not end", self.pid);
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = pidfd_send_signal(&self.handle, Signal::KILL);
            // If its parent still lives, it is for that to bury it.
            let _ = waitpid(Some(self.pid), WaitOptions::empty());
        }
    }
}

impl Tollgate {
    /// Has it hand over to another process, which is the program from then on: the answer of the admin API.
    pub fn hand_over(&mut self, wanted: &str) -> (u16, String) {
        // Whoever loses his parent becomes a child of this process, and can be waited for.
        set_child_subreaper(Some(getpid())).unwrap();
        let (status, body) = self.api("POST", "/api/v1/handover", wanted);
        if status == 200 {
            self.follow(number_after(&body, "\"pid\":"));
        }
        (status, body)
    }

    /// Has it hand over with a signal.
    pub fn hand_over_by_signal(&mut self) {
        set_child_subreaper(Some(getpid())).unwrap();
        let told = |line: &str| line.contains(" is ready and serves from now on");
        let before = self.stderr.count(told);
        self.signal(Signal::USR2);
        let line = self.stderr.wait_for(before, told);
        self.follow(number_after(&line, " process "));
    }

    fn follow(&mut self, pid: u32) {
        self.successors.push(Successor::of(pid));
    }

    /// Waits until the process has ended whose place the current one has taken.
    pub fn wait_for_predecessor(&mut self) -> ExitStatus {
        if let Some(before) = self.successors.len().checked_sub(2) {
            return self.successors[before].wait();
        }
        assert!(!self.successors.is_empty(), "there was no hand-over");
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "the first process did not end");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// The number of the process that serves.
    pub fn process(&self) -> u32 {
        self.pid().as_raw_nonzero().get().unsigned_abs()
    }
}

fn number_after(text: &str, before: &str) -> u32 {
    let rest = text.split(before).nth(1).unwrap_or_default().trim_start();
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_else(|e| panic!("no process in {text:?}: {e}"))
}

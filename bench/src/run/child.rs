//! A program that this one started: ended, with all it started itself, when its handle is dropped.

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, set_parent_process_death_signal,
};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a program may take to end when asked politely.
const GRACE: Duration = Duration::from_secs(5);
/// Lines of its stderr that a complaint quotes.
const QUOTED: usize = 12;

/// A running program in a process group of its own.
pub(crate) struct Child {
    process: process::Child,
    ended: OwnedFd,
    name: String,
    log: PathBuf,
}

impl Child {
    /// Starts `command` with its stderr in the file `log`. It gets SIGTERM should this process die first.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let stderr = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stderr(stderr).process_group(0);
        end_with_parent(&mut command);
        let process = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let ended = pidfd_open(Pid::from_child(&process), PidfdFlags::empty())?;
        Ok(Self { process, ended, name, log: log.to_owned() })
    }

    /// The root of its process tree.
    pub(crate) fn id(&self) -> i32 {
        self.process.id().cast_signed()
    }

    /// Tells it to reload.
    pub(crate) fn reload(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.process), Signal::HUP)?)
    }

    /// Its stdout, if that was piped and not taken yet.
    pub(crate) fn take_stdout(&mut self) -> Result<ChildStdout> {
        self.process.stdout.take().with_context(|| format!("the stdout of {} is not at hand", self.name))
    }

    /// The address in the line `listening ADDRESS`, which must be its first.
    pub(crate) fn announced<T: std::str::FromStr>(&mut self) -> Result<T> {
        let mut line = String::new();
        BufReader::new(self.take_stdout()?).read_line(&mut line)?;
        let address = line.trim_end().strip_prefix("listening ").and_then(|text| text.parse().ok());
        address.with_context(|| format!("{} did not start: {}", self.name, self.complaints()))
    }

    /// Fails if the program has ended.
    pub(crate) fn ensure_running(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}): {}", self.name, self.complaints()),
        }
    }

    /// Has it ended by `end`, waits for it to end well and returns its stdout, however long that is.
    pub(crate) fn output_once(
        mut self,
        end: impl FnOnce() -> Result<()>,
        patience: Duration,
    ) -> Result<String> {
        let mut stdout = self.take_stdout()?;
        end()?;
        let mut text = String::new();
        // It writes when it has ended its work; its stdout is closed when it ends.
        stdout.read_to_string(&mut text)?;
        ensure!(self.ends_within(patience)?, "{} did not end within {patience:?}", self.name);
        let status = self.process.wait()?;
        ensure!(status.success(), "{} failed ({status}): {}", self.name, self.complaints());
        Ok(text)
    }

    /// Waits for it to end well and returns its stdout, which must be short.
    pub(crate) fn output(mut self, patience: Duration) -> Result<String> {
        let mut stdout = self.take_stdout()?;
        ensure!(self.ends_within(patience)?, "{} did not end within {patience:?}", self.name);
        let status = self.process.wait()?;
        ensure!(status.success(), "{} failed ({status}): {}", self.name, self.complaints());
        let mut text = String::new();
        stdout.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Waits for it to end, however it does.
    pub(crate) fn wait(mut self, patience: Duration) -> Result<ExitStatus> {
        ensure!(self.ends_within(patience)?, "{} did not end within {patience:?}", self.name);
        Ok(self.process.wait()?)
    }

    /// The last lines it wrote to stderr.
    pub(crate) fn complaints(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(QUOTED)..].join("\n  ");
        if last.is_empty() { "it said nothing".to_owned() } else { last }
    }

    fn ends_within(&self, patience: Duration) -> Result<bool> {
        let timeout = Timespec::try_from(patience)?;
        Ok(poll(&mut [PollFd::new(&self.ended, PollFlags::IN)], Some(&timeout))? > 0)
    }
}

impl Drop for Child {
    /// Asks it to end, so that masters end their workers; then ends what is left of its group.
    fn drop(&mut self) {
        let group = Pid::from_child(&self.process);
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            let _ = kill_process(group, Signal::TERM);
            let _ = self.ends_within(GRACE);
            // Before the wait below the group's number cannot be given to anybody else.
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.process.wait();
        }
    }
}

#[expect(unsafe_code, reason = "pre_exec is unsafe: the closure runs between fork and exec")]
fn end_with_parent(command: &mut Command) {
    // SAFETY: the closure makes one prctl system call and neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?));
    }
}

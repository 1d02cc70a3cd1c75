//! Writing log lines off the worker threads.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::OFlags;
use tollgate_runtime::{Clock, date};

/// How many blocks of lines may wait for the writer.
const BLOCKS_MAX: usize = 1024;
/// How many bytes may wait for the writer. What does not fit is lost, and counted.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long the end of the process waits for a destination that takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the writer waits for a destination that would have it wait.
const PAUSE: Duration = Duration::from_millis(10);
/// A destination that fails again and again is told of this often.
const TOLD_EVERY_MS: u64 = 60_000;

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Hands blocks of whole lines to the writer thread. Never waits.
#[derive(Clone, Debug)]
pub struct LogSender {
    messages: SyncSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Bytes on their way to the writer.
    waiting: AtomicUsize,
    /// The file is to be opened anew before the next line is written.
    reopen: AtomicBool,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Lines(Vec<u8>, u64),
    Wake,
}

impl LogSender {
    /// Hands over a block; `lines` is how many lines are lost if the writer does not keep up.
    pub fn send(&self, block: Vec<u8>, lines: u64) {
        let (shared, size) = (&self.shared, block.len());
        let waiting = shared.waiting.fetch_add(size, Ordering::Relaxed);
        let sent =
            waiting + size <= BYTES_MAX && self.messages.try_send(Message::Lines(block, lines)).is_ok();
        if !sent {
            shared.waiting.fetch_sub(size, Ordering::Relaxed);
            shared.lost.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// Has the file opened anew by its name before another line is written.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        match self.messages.try_send(Message::Wake) {
            // A writer that has more to do looks before the next block.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

/// The writer thread. It ends, with all lines written, once all senders are gone.
#[derive(Debug)]
pub struct LogWriter {
    destination: Destination,
    thread: JoinHandle<()>,
    /// Says nothing, but its other end goes with the thread.
    ended: Receiver<()>,
    shared: Arc<Shared>,
}

impl LogWriter {
    /// Opens the destination and starts the thread. Lines that are lost are added to `lost`.
    pub fn start(destination: &Destination, lost: Arc<AtomicU64>) -> io::Result<(LogSender, LogWriter)> {
        let file = match destination {
            // Unbuffered: blocks are large, and come whole.
            Destination::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Destination::File(path) => append(path)?,
        };
        let (messages, receiver) = sync_channel(BLOCKS_MAX);
        let shared = Arc::new(Shared { waiting: AtomicUsize::new(0), reopen: AtomicBool::new(false), lost });
        let (ending, ended) = mpsc::channel::<()>();
        let sender = LogSender { messages, shared: shared.clone() };
        let writing = shared.clone();
        let mut output =
            Output { destination: destination.clone(), file, torn: false, failing: false, told: None };
        let thread = std::thread::Builder::new().name("access-log".into()).spawn(move || {
            output.run(&receiver, &writing);
            drop(ending);
        })?;
        Ok((sender, LogWriter { destination: destination.clone(), thread, ended, shared }))
    }

    /// Where it writes.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Whether it has nothing left to do.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until everything is written. All senders must be dropped before. A destination that takes
    /// nothing for some seconds is left, which is said.
    pub fn finish(self) {
        let clock = Clock::new();
        let began = clock.now_ms();
        let mut waiting = self.shared.waiting.load(Ordering::Relaxed);
        while self.ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let still = self.shared.waiting.load(Ordering::Relaxed);
            if still >= waiting {
                let seconds = (clock.now_ms() - began) / 1000;
                note(&format!(
                    "the access log {} has taken nothing for {seconds}s; its last {still} bytes are lost",
                    self.destination
                ));
                return;
            }
            waiting = still;
        }
        // A writer that panicked has nothing left to write.
        let _ = self.thread.join();
    }
}

/// The writer's side of a destination.
struct Output {
    destination: Destination,
    file: File,
    /// What was written last is the start of a line whose rest was lost.
    torn: bool,
    failing: bool,
    /// When the latest failure was told of, in milliseconds of the process's clock.
    told: Option<u64>,
}

impl Output {
    fn run(&mut self, messages: &Receiver<Message>, shared: &Shared) {
        for message in messages {
            if shared.reopen.swap(false, Ordering::Acquire) {
                self.reopen();
            }
            let Message::Lines(block, lines) = message else { continue };
            if let Err((written, error)) = self.write(&block) {
                let whole = block[..written].iter().filter(|byte| **byte == b'\n').count() as u64;
                shared.lost.fetch_add(lines.saturating_sub(whole), Ordering::Relaxed);
                self.tell_failure(&error);
            } else if self.failing {
                self.failing = false;
                note(&format!("the access log {} is written again", self.destination));
            }
            shared.waiting.fetch_sub(block.len(), Ordering::Relaxed);
        }
    }

    /// A file that was renamed or removed is left behind for a new one of the name.
    fn reopen(&mut self) {
        let Destination::File(path) = &self.destination else { return };
        match append(path) {
            Ok(file) => {
                self.file = file;
                self.torn = false;
                note(&format!("the access log {} is opened anew", self.destination));
            }
            Err(error) => note(&format!(
                "cannot open the access log {} anew: {error}; the old file is written to on",
                self.destination
            )),
        }
    }

    /// Writes a block, or says how much of it was written and why not more.
    fn write(&mut self, block: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.torn {
            // So that one line is torn and not two.
            self.write_all(b"\n").map_err(|(_, error)| (0, error))?;
            self.torn = false;
        }
        self.write_all(block).inspect_err(|(written, _)| {
            self.torn = written.checked_sub(1).is_some_and(|last| block[last] != b'\n');
        })
    }

    fn write_all(&self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < bytes.len() {
            match (&self.file).write(&bytes[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A pipe that is full.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    fn tell_failure(&mut self, error: &io::Error) {
        let now = Clock::new().now_ms();
        let told_lately = self.told.is_some_and(|told| now - told < TOLD_EVERY_MS);
        if self.failing || told_lately {
            return;
        }
        self.failing = true;
        self.told = Some(now);
        note(&format!(
            "cannot write the access log {}: {error}; its lines are lost until that is mended",
            self.destination
        ));
    }
}

fn append(path: &Path) -> io::Result<File> {
    // A named pipe that nobody reads must not have the process wait.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().create(true).append(true).mode(0o640).custom_flags(flags).open(path)
}

/// A line on standard error.
fn note(text: &str) {
    eprintln!("{} {text}", date::rfc3339(Clock::new().wall()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn start(path: &Path) -> (LogSender, LogWriter, Arc<AtomicU64>) {
        let lost = Arc::new(AtomicU64::new(0));
        let (sender, writer) = LogWriter::start(&Destination::File(path.to_owned()), lost.clone()).unwrap();
        (sender, writer, lost)
    }

    #[test]
    fn lines_reach_the_file_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (sender, writer, _) = start(&path);
        for number in 0..100 {
            sender.send(format!("{number}\n").into_bytes(), 1);
        }
        drop(sender);
        writer.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 100);
        assert!(text.starts_with("0\n1\n"));
    }

    #[test]
    fn files_are_rotated_under_load_without_losing_or_tearing_a_line() {
        const SENDERS: usize = 3;
        const LINES: usize = 2_000;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (sender, writer, lost) = start(&path);
        let begin = Arc::new(Barrier::new(SENDERS + 1));
        let threads: Vec<_> = (0..SENDERS)
            .map(|_| {
                let (sender, begin) = (sender.clone(), begin.clone());
                std::thread::spawn(move || {
                    begin.wait();
                    for _ in 0..LINES {
                        // Stays within the bound, so that nothing may be lost.
                        while sender.shared.waiting.load(Ordering::Relaxed) > 8 * 1024 {
                            std::thread::yield_now();
                        }
                        sender.send(b"a whole line\nand another\n".to_vec(), 2);
                    }
                })
            })
            .collect();
        begin.wait();
        let mut files = vec![path.clone()];
        while !threads.iter().all(JoinHandle::is_finished) || files.len() < 3 {
            let old = folder.path().join(format!("log.{}", files.len()));
            std::fs::rename(&path, &old).unwrap();
            files.push(old);
            sender.reopen();
            while !path.exists() {
                std::thread::yield_now();
            }
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop(sender);
        writer.finish();
        let mut lines = 0;
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.is_empty() || text.ends_with('\n'));
            assert!(text.lines().all(|line| line == "a whole line" || line == "and another"));
            lines += text.lines().count();
        }
        assert_eq!(lines, SENDERS * LINES * 2);
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_file_that_cannot_be_opened_anew_stays() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let path = inner.join("log");
        let (sender, writer, lost) = start(&path);
        let moved = folder.path().join("moved");
        std::fs::rename(&inner, &moved).unwrap();
        sender.reopen();
        sender.send(b"a line\n".to_vec(), 1);
        drop(sender);
        writer.finish();
        assert_eq!(std::fs::read_to_string(moved.join("log")).unwrap(), "a line\n");
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_full_disk_costs_counted_lines_and_is_told_once() {
        let (sender, writer, lost) = start(Path::new("/dev/full"));
        for _ in 0..100 {
            sender.send(b"a\nb\n".to_vec(), 2);
        }
        drop(sender);
        writer.finish();
        assert_eq!(lost.load(Ordering::Relaxed), 200);
    }

    #[test]
    fn a_destination_that_does_not_keep_up_costs_counted_lines_and_never_waits() {
        // A pipe that nobody reads, as a file that the writer opens.
        let (reader, pipe) = io::pipe().unwrap();
        use std::os::fd::AsRawFd;
        let path = PathBuf::from(format!("/proc/self/fd/{}", pipe.as_raw_fd()));
        let (sender, writer, lost) = start(&path);
        let block = vec![b'\n'; 1024 * 1024];
        for _ in 0..64 {
            sender.send(block.clone(), 1024 * 1024);
        }
        let sent_lost = lost.load(Ordering::Relaxed);
        assert!(sent_lost >= 47 * 1024 * 1024, "{sent_lost}");
        assert!(sender.shared.waiting.load(Ordering::Relaxed) <= BYTES_MAX);
        drop(sender);
        // Nobody will ever read: the rest is lost, and the writer ends.
        drop((reader, pipe));
        writer.finish();
        assert!(lost.load(Ordering::Relaxed) > sent_lost);
    }

    #[test]
    fn after_a_torn_line_the_next_begins_on_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let file = append(&path).unwrap();
        let destination = Destination::File(path.clone());
        let mut output = Output { destination, file, torn: true, failing: false, told: None };
        (&output.file).write_all(b"half a li").unwrap();
        output.write(b"next\n").unwrap();
        output.write(b"last\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "half a li\nnext\nlast\n");
    }
}

//! Writing log lines off the worker threads.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// How many blocks of lines may wait for the writer. With blocks of at most 64 KiB this bounds the
/// log's memory to 16 MiB; what does not fit is lost, and counted.
const BLOCKS_MAX: usize = 256;

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// Hands blocks of whole lines to the writer thread. Never waits.
#[derive(Clone, Debug)]
pub struct LogSender {
    blocks: SyncSender<Vec<u8>>,
    lost: Arc<AtomicU64>,
}

impl LogSender {
    /// Hands over a block; `lines` is how many lines are lost if the writer does not keep up.
    pub fn send(&self, block: Vec<u8>, lines: u64) {
        match self.blocks.try_send(block) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(lines, Ordering::Relaxed);
            }
        }
    }

    /// Counts the lines lost, without keeping the writer from ending.
    pub fn losses(&self) -> Losses {
        Losses(self.lost.clone())
    }
}

/// How many lines were lost.
#[derive(Clone, Debug)]
pub struct Losses(Arc<AtomicU64>);

impl Losses {
    /// Lines lost so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The writer thread. It ends, with all lines written, once all senders are gone.
#[derive(Debug)]
pub struct LogWriter {
    thread: JoinHandle<()>,
}

impl LogWriter {
    /// Opens the destination and starts the thread.
    pub fn start(destination: &Destination) -> io::Result<(LogSender, LogWriter)> {
        let output: Box<dyn Write + Send> = match destination {
            Destination::Stdout => Box::new(io::stdout()),
            Destination::File(path) => Box::new(append(path)?),
        };
        let (blocks, receiver) = sync_channel(BLOCKS_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let sender = LogSender { blocks, lost: lost.clone() };
        let thread = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write(&receiver, output, &lost))?;
        Ok((sender, LogWriter { thread }))
    }

    /// Waits until everything is written. All senders must be dropped before.
    pub fn finish(self) {
        // A writer that panicked has nothing left to write.
        let _ = self.thread.join();
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write(blocks: &Receiver<Vec<u8>>, mut output: Box<dyn Write + Send>, lost: &AtomicU64) {
    for block in blocks {
        if output.write_all(&block).and_then(|()| output.flush()).is_err() {
            // A full disk or a closed pipe must not stop traffic; the loss shows in the metrics.
            lost.fetch_add(block.iter().filter(|b| **b == b'\n').count() as u64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCKS_MAX, Destination, LogSender, LogWriter};
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn lines_reach_the_file_in_order() {
        let path = std::env::temp_dir().join(format!("tollgate-log-{}", std::process::id()));
        let (sender, writer) = LogWriter::start(&Destination::File(path.clone())).unwrap();
        for number in 0..100 {
            sender.send(format!("{number}\n").into_bytes(), 1);
        }
        drop(sender);
        writer.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text.lines().count(), 100);
        assert!(text.starts_with("0\n1\n"));
    }

    #[test]
    fn a_writer_that_does_not_keep_up_costs_counted_lines_and_never_waits() {
        let (blocks, _receiver) = sync_channel(BLOCKS_MAX);
        let sender = LogSender { blocks, lost: Arc::default() };
        for _ in 0..BLOCKS_MAX + 10 {
            sender.send(b"a\nb\n".to_vec(), 2);
        }
        assert_eq!(sender.losses().count(), 20);
    }
}

//! The thread that writes counts to the file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::file::{Changes, CountsFile, Row};
use super::quotas::{Counts, Listener, QuotaError, QuotaEvent, wall_us};

/// The thread. Ends, after a last flush, when this is dropped.
#[derive(Debug)]
pub(super) struct Flusher {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told to do before its time.
enum Order {
    Flush(Sender<Result<(), QuotaError>>),
    Release(Sender<Result<(), QuotaError>>),
}

impl Flusher {
    pub(super) fn start(
        counts: Arc<Counts>,
        file: Option<CountsFile>,
        path: &Path,
        every: Duration,
        events: Listener,
    ) -> Result<Self, QuotaError> {
        let was_in_use = file.is_none();
        let mut writer = Writer {
            counts,
            file,
            path: path.to_owned(),
            events,
            written: None,
            loaded: false,
            released: false,
            failing: was_in_use,
        };
        if !was_in_use {
            // What the file holds counts from the first request on.
            writer.load()?;
        }
        let (orders, received) = channel();
        let run = move || writer.run(&received, every);
        let thread = tollgate_runtime::process::in_background("quotas", run)
            .map_err(|error| QuotaError::Io(format!("no thread for it: {error}")))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    pub(super) fn flush(&self) -> Result<(), QuotaError> {
        self.order(Order::Flush)
    }

    pub(super) fn release(&self) -> Result<(), QuotaError> {
        self.order(Order::Release)
    }

    fn order(&self, order: fn(Sender<Result<(), QuotaError>>) -> Order) -> Result<(), QuotaError> {
        let (answer, answered) = channel();
        let sent = self.orders.as_ref().is_some_and(|orders| orders.send(order(answer)).is_ok());
        let ended = || QuotaError::Io("the thread that writes it has ended".to_owned());
        if sent { answered.recv().map_err(|_| ended())? } else { Err(ended()) }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // It ends by itself; if it died there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

struct Writer {
    counts: Arc<Counts>,
    file: Option<CountsFile>,
    path: PathBuf,
    events: Listener,
    /// What the file holds: end and use by tag. Unknown until it was read.
    written: Option<HashMap<u64, (u64, u64)>>,
    /// Whether what the file held when it was first opened was added to what is in memory.
    loaded: bool,
    released: bool,
    failing: bool,
}

impl Writer {
    fn run(mut self, orders: &Receiver<Order>, every: Duration) {
        loop {
            match orders.recv_timeout(every) {
                // What fails is counted and said there, and tried again the next time.
                Err(RecvTimeoutError::Timeout) => drop(self.flush()),
                Err(RecvTimeoutError::Disconnected) => return drop(self.flush()),
                // Who asked may have gone.
                Ok(Order::Flush(answer)) => drop(answer.send(self.flush())),
                Ok(Order::Release(answer)) => {
                    let flushed = self.flush();
                    self.file = None;
                    self.released = true;
                    let _ = answer.send(flushed);
                }
            }
        }
    }

    /// Writes what has changed, and says if that begins or ceases to fail.
    fn flush(&mut self) -> Result<(), QuotaError> {
        if self.released {
            return Err(QuotaError::InUse);
        }
        let flushed = self.try_flush();
        match &flushed {
            Ok(()) => {
                self.counts.flushes.fetch_add(1, Relaxed);
                if std::mem::take(&mut self.failing) {
                    (self.events)(QuotaEvent::Written);
                }
            }
            Err(error) => {
                self.counts.failures.fetch_add(1, Relaxed);
                // After an error the file has to be opened anew, and read for what it holds now.
                self.file = None;
                self.written = None;
                if !std::mem::replace(&mut self.failing, true) {
                    (self.events)(QuotaEvent::Failing(error.clone()));
                }
            }
        }
        flushed
    }

    fn try_flush(&mut self) -> Result<(), QuotaError> {
        if self.written.is_none() {
            self.load()?;
        }
        let (Some(file), Some(written)) = (&self.file, &mut self.written) else {
            return Err(QuotaError::InUse);
        };
        let now_us = wall_us();
        let now_s = now_us / 1_000_000;
        let mut changes = Changes::default();
        let mut held = HashMap::with_capacity(written.len());
        for (tag, end_s, used) in self.counts.all(now_us) {
            held.insert(tag, (end_s, used));
            match written.get(&tag) {
                Some(same) if *same == (end_s, used) => continue,
                Some((end, _)) if *end != end_s => changes.remove.push((*end, tag)),
                _ => {}
            }
            changes.write.push(Row { end_s, tag, used });
        }
        let gone = written.iter().filter(|(tag, _)| !held.contains_key(*tag));
        changes.remove.extend(gone.map(|(tag, (end_s, _))| (*end_s, *tag)));
        if !changes.write.is_empty() || !changes.remove.is_empty() {
            file.write(&changes, now_s)?;
        }
        *written = held;
        Ok(())
    }

    /// Opens the file if need be and reads what it holds. The first time that is added to what was counted
    /// meanwhile; later it was counted here.
    fn load(&mut self) -> Result<(), QuotaError> {
        if self.file.is_none() {
            self.file = Some(CountsFile::open(&self.path)?);
        }
        let Some(file) = &self.file else { return Err(QuotaError::InUse) };
        let now_us = wall_us();
        let rows = file.read(now_us / 1_000_000)?;
        if !std::mem::replace(&mut self.loaded, true) {
            for row in rows.iter().filter(|row| row.used > 0) {
                self.counts.add(row.tag, row.end_s, row.used, now_us);
            }
        }
        self.written = Some(rows.iter().map(|row| (row.tag, (row.end_s, row.used))).collect());
        Ok(())
    }
}

//! What the process says of itself.

use std::sync::Arc;
use std::time::Duration;

use super::Writer;
use crate::families;
use crate::shard::Shard;

/// What is known of the process at the moment of the scrape.
#[derive(Debug)]
pub struct ProcessState<'a> {
    /// The program's version.
    pub version: &'a str,
    /// When the process started, since 1970.
    pub started_at: Duration,
    /// The process's clock: milliseconds since it started.
    pub now_ms: u64,
    /// What it takes of the machine.
    pub usage: Usage,
    /// Whether it is draining.
    pub draining: bool,
    /// Access records lost.
    pub log_lost: u64,
    /// What the flight recorder holds.
    pub recorder: RecorderState,
    /// What became of spans.
    pub spans: SpanState,
    /// How it came to its document.
    pub reload: &'a ReloadState,
}

/// What the process takes of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time.
    pub cpu: Duration,
    /// Memory that is in RAM, in bytes.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_files: u64,
    /// How many it may open; `None` where there is no limit.
    pub max_files: Option<u64>,
}

/// How the process came to its running document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadState {
    /// The number of the running document; the one at the start is 1.
    pub number: u64,
    /// Its hash; empty where it is not known.
    pub hash: String,
    /// When a document was last taken, since 1970.
    pub last_success_at: Duration,
    /// Whether the newest document was taken.
    pub last_result: bool,
    /// Documents that replaced the running one.
    pub reloads_ok: u64,
    /// Documents that were refused.
    pub reloads_failed: u64,
}

/// What the flight recorder holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderState {
    /// Exchanges in it.
    pub entries: u64,
    /// Bytes that it takes.
    pub bytes: u64,
    /// Exchanges that it should have kept and could not.
    pub dropped: u64,
}

/// What became of spans of sampled exchanges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanState {
    /// The collector took them.
    pub exported: u64,
    /// They were never sent.
    pub dropped: u64,
    /// They were sent in vain.
    pub failed: u64,
}

impl ReloadState {
    /// After the start at this time (since 1970), before any reload.
    pub fn started(at: Duration) -> Self {
        Self {
            number: 1,
            hash: String::new(),
            last_success_at: at,
            last_result: true,
            reloads_ok: 0,
            reloads_failed: 0,
        }
    }
}

/// Writes what the process says of itself.
pub fn write_process(writer: &mut Writer, state: &ProcessState<'_>, shards: &[Arc<Shard>]) {
    writer.family(&families::BUILD);
    writer.series(&families::BUILD, &[("version", state.version)], 1);
    writer.single(&families::START_TIME, seconds(state.started_at));
    writer.single(&families::UPTIME, state.now_ms as f64 / 1e3);
    writer.single(&families::PROCESS_CPU, seconds(state.usage.cpu));
    writer.single(&families::RESIDENT, state.usage.resident_bytes);
    writer.single(&families::OPEN_FILES, state.usage.open_files);
    writer
        .single(&families::MAX_FILES, state.usage.max_files.map_or("+Inf".to_owned(), |max| max.to_string()));
    writer.single(&families::WORKERS, shards.len());
    writer.family(&families::WORKER_CPU);
    for (worker, shard) in shards.iter().enumerate() {
        let used = shard.pulse.cpu_us() as f64 / 1e6;
        writer.series(&families::WORKER_CPU, &[("worker", &worker.to_string())], used);
    }
    writer.family(&families::WORKER_SILENT);
    for (worker, shard) in shards.iter().enumerate() {
        let silent = shard.pulse.silent_ms(state.now_ms) as f64 / 1e3;
        writer.series(&families::WORKER_SILENT, &[("worker", &worker.to_string())], silent);
    }
    writer.single(&families::DRAINING, u8::from(state.draining));
    write_reload(writer, state.reload);
    writer.single(&families::LOG_LOST, state.log_lost);
    writer.single(&families::RECORDER_ENTRIES, state.recorder.entries);
    writer.single(&families::RECORDER_BYTES, state.recorder.bytes);
    writer.single(&families::RECORDER_DROPPED, state.recorder.dropped);
    writer.single(&families::SPANS_EXPORTED, state.spans.exported);
    writer.single(&families::SPANS_DROPPED, state.spans.dropped);
    writer.single(&families::SPANS_FAILED, state.spans.failed);
}

fn write_reload(writer: &mut Writer, reload: &ReloadState) {
    writer.single(&families::CONFIG_NUMBER, reload.number);
    writer.family(&families::CONFIG_HASH);
    if !reload.hash.is_empty() {
        writer.series(&families::CONFIG_HASH, &[("hash", &reload.hash)], 1);
    }
    writer.family(&families::RELOADS);
    writer.series(&families::RELOADS, &[("result", "ok")], reload.reloads_ok);
    writer.series(&families::RELOADS, &[("result", "failed")], reload.reloads_failed);
    writer.single(&families::RELOAD_SUCCESS, u8::from(reload.last_result));
    writer.single(&families::RELOAD_SUCCESS_AT, seconds(reload.last_success_at));
}

/// To the millisecond, so that what is computed from clocks does not flicker.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}

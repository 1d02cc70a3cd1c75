//! What the workers counted of sessions. Upstreams that had none are left out.

use std::sync::Arc;

use super::Writer;
use super::shards::Names;
use crate::families;
use crate::sessions::{SessionOutcome, SessionSeries};
use crate::shard::Shard;

pub(super) fn write(writer: &mut Writer, shards: &[Arc<Shard>], names: &Names) {
    let family = &families::SESSIONS;
    writer.family(family);
    for (index, name) in names.upstreams.iter().enumerate() {
        let series: Vec<&SessionSeries> = shards
            .iter()
            .filter_map(|shard| shard.upstreams.get(index)?.sessions.get().map(|series| &**series))
            .collect();
        if series.is_empty() {
            continue;
        }
        for outcome in SessionOutcome::ALL {
            let total: u64 = series.iter().map(|series| series.of(outcome).get()).sum();
            writer.series(family, &[("upstream", name), ("outcome", outcome.label())], total);
        }
    }
}

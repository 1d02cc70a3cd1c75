//! What the workers counted of datagrams. Listeners and upstreams that had none are left out.

use std::sync::Arc;

use super::Writer;
use super::shards::Names;
use crate::families::{self, Family};
use crate::flows::{DatagramSeries, Dropped, FlowSeries};
use crate::shard::Shard;

/// A value of all workers together, by the name of the listener or upstream.
type Series<'a> = Vec<(&'a str, Vec<&'a FlowSeries>)>;

pub(super) fn write_listeners(writer: &mut Writer, shards: &[Arc<Shard>], names: &Names) {
    let series = met(shards, &names.listeners, |shard, index| {
        shard.listeners.get(index).and_then(|listener| listener.flows.get()).map(|flows| &**flows)
    });
    write_flows(writer, "listener", &series, [&families::FLOWS, &families::FLOWS_OPEN]);
    write_datagrams(writer, "listener", &series, [&families::DATAGRAMS, &families::DATAGRAM_BYTES]);
    let family = &families::DATAGRAMS_DROPPED;
    writer.family(family);
    for (name, flows) in &series {
        for why in Dropped::ALL {
            let total: u64 = flows.iter().map(|flows| flows.dropped_for(why)).sum();
            writer.series(family, &[("listener", name), ("reason", why.label())], total);
        }
    }
}

pub(super) fn write_upstreams(writer: &mut Writer, shards: &[Arc<Shard>], names: &Names) {
    let series = met(shards, &names.upstreams, |shard, index| {
        shard.upstreams.get(index).and_then(|upstream| upstream.flows.get()).map(|flows| &**flows)
    });
    write_flows(writer, "upstream", &series, [&families::UPSTREAM_FLOWS, &families::UPSTREAM_FLOWS_OPEN]);
    let families = [&families::UPSTREAM_DATAGRAMS, &families::UPSTREAM_DATAGRAM_BYTES];
    write_datagrams(writer, "upstream", &series, families);
}

fn met<'a>(
    shards: &'a [Arc<Shard>],
    names: &'a [String],
    of: impl Fn(&'a Shard, usize) -> Option<&'a FlowSeries>,
) -> Series<'a> {
    let all = names.iter().enumerate().map(|(index, name)| {
        let flows: Vec<_> = shards.iter().filter_map(|shard| of(shard, index)).collect();
        (name.as_str(), flows)
    });
    all.filter(|(_, flows)| !flows.is_empty()).collect()
}

fn write_flows(writer: &mut Writer, label: &str, series: &Series<'_>, families: [&Family; 2]) {
    let values: [fn(&FlowSeries) -> u64; 2] = [|flows| flows.begun.get(), FlowSeries::open];
    for (family, value) in families.into_iter().zip(values) {
        writer.family(family);
        for (name, flows) in series {
            let total: u64 = flows.iter().map(|flows| value(flows)).sum();
            writer.series(family, &[(label, name)], total);
        }
    }
}

fn write_datagrams(writer: &mut Writer, label: &str, series: &Series<'_>, families: [&Family; 2]) {
    type Direction = fn(&FlowSeries) -> &DatagramSeries;
    let directions: [(&str, Direction); 2] =
        [("upstream", |flows| &flows.to_upstream), ("client", |flows| &flows.to_client)];
    let values: [fn(&DatagramSeries) -> u64; 2] = [|series| series.count.get(), |series| series.bytes.get()];
    for (family, value) in families.into_iter().zip(values) {
        writer.family(family);
        for (name, flows) in series {
            for (direction, of) in directions {
                let total: u64 = flows.iter().map(|flows| value(of(flows))).sum();
                writer.series(family, &[(label, name), ("direction", direction)], total);
            }
        }
    }
}

//! The process's metrics as text.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tollgate_proxy::Snapshot;
use tollgate_runtime::{Clock, process as machine};
use tollgate_telemetry::exposition::{
    AcmeState, EjectionState, EndpointState, Names, ProcessState, Recents, RecorderState, ReloadState,
    SourceState, SpanState, UpstreamState, Usage, Writer, write_acme, write_beside, write_certificates,
    write_discovery, write_ejections, write_endpoints, write_mirrors, write_overload, write_policies,
    write_process, write_shards, write_stores, write_upstreams,
};
use tollgate_upstream::{Health, Rule, Upstream};

use crate::acme::Acme;
use crate::instance::Instance;
use crate::process::Process;
use crate::{certificates, discovery, overload};

/// What the metrics keep besides the workers' counters.
#[derive(Debug)]
pub(crate) struct Memory {
    started_at: Duration,
    reload: Mutex<ReloadState>,
    recents: Recents,
}

impl Memory {
    /// For a process that starts now.
    pub(crate) fn new() -> Self {
        let clock = Clock::new();
        let started_at = clock.wall().saturating_sub(Duration::from_millis(clock.now_ms()));
        let reload = Mutex::new(ReloadState::started(started_at));
        Self { started_at, reload, recents: Recents::default() }
    }

    pub(crate) fn note_reload(&self, change: impl FnOnce(&mut ReloadState)) {
        change(&mut self.reload.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How the process came to its document.
    pub(crate) fn reload(&self) -> ReloadState {
        self.reload.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All metrics in the Prometheus text format.
pub fn text(instance: &Instance) -> String {
    let process = instance.process();
    let current = process.current();
    let snapshot = &current.snapshot;
    let names = Names {
        routes: snapshot.routes.iter().map(|r| r.name.clone()).collect(),
        upstreams: snapshot.upstreams.iter().map(|u| u.name().to_string()).collect(),
        listeners: snapshot.listeners.iter().map(|l| l.name.clone()).collect(),
    };
    let now_ms = Clock::new().now_ms();
    let recorder = process.recorder().counts();
    let state = ProcessState {
        version: env!("CARGO_PKG_VERSION"),
        started_at: process.metrics.started_at,
        now_ms,
        usage: usage(),
        draining: process.is_draining(),
        log_lost: process.logs().lost(),
        recorder: RecorderState {
            entries: recorder.entries,
            bytes: recorder.bytes,
            dropped: recorder.dropped,
        },
        spans: spans(process),
        reload: &process.metrics.reload(),
    };
    let shards = &current.shards;
    let mut writer = Writer::default();
    write_process(&mut writer, &state, shards);
    write_acme(&mut writer, &certificates(instance.acme()));
    write_discovery(&mut writer, &sources(instance));
    write_stores(&mut writer, &instance.stores());
    write_policies(&mut writer, &instance.policies());
    write_mirrors(&mut writer, &instance.mirrors());
    write_shards(&mut writer, shards, &names, &process.metrics.recents, now_ms);
    write_overload(&mut writer, &overload::states(snapshot, now_ms));
    write_endpoints(&mut writer, shards, &endpoints(snapshot, now_ms));
    write_upstreams(&mut writer, &upstreams(snapshot));
    write_ejections(&mut writer, &ejections(snapshot));
    write_certificates(&mut writer, &certificates::states(process), process.certificates.replacements());
    let stuck: Vec<_> = instance.watched().stuck().into_iter().collect();
    write_beside(&mut writer, snapshot.consumers.get().len(), &stuck);
    writer.finish()
}

fn certificates(acme: &Acme) -> Vec<AcmeState> {
    let state = |status: tollgate_acme::CertificateStatus| {
        let (next_order, failures) = (status.next_order, status.failures);
        Some(AcmeState { name: status.names.into_iter().next()?, next_order, failures })
    };
    acme.status().into_iter().filter_map(state).collect()
}

fn sources(instance: &Instance) -> Vec<SourceState> {
    let state = |state: discovery::SourceState| SourceState {
        upstream: state.upstream,
        source: state.source,
        endpoints: state.endpoints.unwrap_or(0) as u64,
        failures: state.failures,
        age_ms: state.age_ms,
    };
    instance.sources().into_iter().map(state).collect()
}

fn spans(process: &Process) -> SpanState {
    let counts = process.exports().counts();
    SpanState {
        exported: counts.exported.load(Ordering::Relaxed),
        dropped: counts.dropped.load(Ordering::Relaxed),
        failed: counts.failed.load(Ordering::Relaxed),
    }
}

/// What the machine does not tell is shown as 0.
fn usage() -> Usage {
    Usage {
        cpu: machine::cpu(),
        resident_bytes: machine::resident_bytes().unwrap_or(0),
        open_files: machine::open_files().unwrap_or(0),
        max_files: machine::max_files(),
    }
}

fn upstreams(snapshot: &Snapshot) -> Vec<UpstreamState> {
    let state = |upstream: &Arc<Upstream>| UpstreamState {
        upstream: upstream.name().to_string(),
        held: u64::from(upstream.holds().requests()),
    };
    snapshot.upstreams.iter().map(state).collect()
}

/// What is known of each endpoint, by upstream.
pub fn endpoints(snapshot: &Snapshot, now_ms: u64) -> Vec<EndpointState> {
    let upstreams = snapshot.upstreams.iter().enumerate();
    let states = upstreams.flat_map(|(upstream_index, upstream)| {
        upstream.live_endpoints().map(move |(_, endpoint)| EndpointState {
            upstream: upstream.name().to_string(),
            upstream_index,
            endpoint: endpoint.name().to_string(),
            id: endpoint.id().number(),
            weight: endpoint.weight(),
            drained: endpoint.is_drained(),
            in_flight: u64::from(endpoint.in_flight()),
            healthy: endpoint.health(now_ms) == Health::Usable,
            ejected: matches!(endpoint.health(now_ms), Health::Ejected { .. }),
            probes_failed: upstream.settings().probes.is_some().then(|| endpoint.probes_failed()),
        })
    });
    states.collect()
}

/// How often the rules of outlier detection that are on have ejected, by upstream.
fn ejections(snapshot: &Snapshot) -> Vec<EjectionState> {
    let of = |upstream: &Arc<tollgate_upstream::Upstream>| {
        let outliers = &upstream.settings().outliers;
        let rules = Rule::ALL.into_iter().filter(|rule| outliers.has(*rule));
        EjectionState {
            upstream: upstream.name().to_string(),
            shadow: outliers.shadow,
            totals: rules.map(|rule| (rule.label(), upstream.ejections(rule))).collect(),
        }
    };
    snapshot.upstreams.iter().map(of).collect()
}

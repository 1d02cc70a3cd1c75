//! The Prometheus text format (version 0.0.4).

mod acme;
mod beside;
mod discovery;
mod flows;
mod mirrors;
mod overload;
mod policies;
mod process;
mod secured;
mod sessions;
mod shards;
mod stores;
mod upstreams;

pub use acme::{AcmeState, write_acme};
pub use beside::write_beside;
pub use discovery::{SourceState, write_discovery};
pub use mirrors::{MirrorState, write_mirrors};
pub use overload::{CircuitState, OverloadState, PlacesState, write_overload};
pub use policies::{PolicyState, write_policies};
pub use process::{ProcessState, RecorderState, ReloadState, SpanState, Usage, write_process};
pub use secured::{CertificateState, Replacements, write_certificates};
pub use shards::{
    EjectionState, EndpointState, Names, Recents, write_ejections, write_endpoints, write_shards,
};
pub use stores::write_stores;
pub use upstreams::{UpstreamState, write_upstreams};

use std::fmt::{Display, Write};

use crate::families::{Family, Kind};
use crate::histogram::Sparse;
use crate::outcomes::{BOUNDS_US, ClassicSum};

/// The quantiles that summaries show.
const QUANTILES: [(f64, &str); 4] = [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99"), (0.999, "0.999")];

/// Writes metrics into a text. Each family is begun once and then gets its series.
#[derive(Debug, Default)]
pub struct Writer {
    text: String,
}

/// Labels with their values. Those without a value are left out.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Writer {
    /// The text so far.
    pub fn finish(self) -> String {
        self.text
    }

    /// Begins a family.
    pub fn family(&mut self, family: &Family) {
        let Family { name, kind, help, .. } = family;
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {}", kind.label());
    }

    /// Begins a family that has one series, without labels, and writes it.
    pub fn single(&mut self, family: &Family, value: impl Display) {
        self.family(family);
        self.series(family, &[], value);
    }

    /// Writes a series of a counter or gauge.
    pub fn series(&mut self, family: &Family, labels: Labels<'_>, value: impl Display) {
        debug_assert!(matches!(family.kind, Kind::Counter | Kind::Gauge), "{}", family.name);
        let labels = label_text(family, labels);
        self.line(family, "", &labels, "", value);
    }

    /// Writes a histogram of seconds.
    pub fn histogram(&mut self, family: &Family, labels: Labels<'_>, durations: &ClassicSum) {
        debug_assert_eq!(family.kind, Kind::Histogram, "{}", family.name);
        let labels = label_text(family, labels);
        let mut below = 0;
        for (bound_us, count) in BOUNDS_US.iter().zip(durations.buckets) {
            below += count;
            self.line(family, "_bucket", &labels, &format!("le=\"{}\"", *bound_us as f64 / 1e6), below);
        }
        self.line(family, "_bucket", &labels, "le=\"+Inf\"", durations.count());
        self.line(family, "_sum", &labels, "", durations.sum_us as f64 / 1e6);
        self.line(family, "_count", &labels, "", durations.count());
    }

    /// Writes a histogram of seconds with bounds of its own: each in milliseconds with the count between the one before and
    /// it, the count above all, and the sum in microseconds.
    pub fn waits(
        &mut self,
        family: &Family,
        labels: Labels<'_>,
        buckets: &[(u64, u64)],
        above: u64,
        sum_us: u64,
    ) {
        debug_assert_eq!(family.kind, Kind::Histogram, "{}", family.name);
        let labels = label_text(family, labels);
        let mut count = 0;
        for (bound_ms, between) in buckets {
            count += between;
            self.line(family, "_bucket", &labels, &format!("le=\"{}\"", *bound_ms as f64 / 1e3), count);
        }
        count += above;
        self.line(family, "_bucket", &labels, "le=\"+Inf\"", count);
        self.line(family, "_sum", &labels, "", sum_us as f64 / 1e6);
        self.line(family, "_count", &labels, "", count);
    }

    /// Writes a summary without quantiles.
    pub fn summary(&mut self, family: &Family, labels: Labels<'_>, sum: impl Display, count: u64) {
        debug_assert_eq!(family.kind, Kind::Summary, "{}", family.name);
        let labels = label_text(family, labels);
        self.line(family, "_sum", &labels, "", sum);
        self.line(family, "_count", &labels, "", count);
    }

    /// Writes a summary in seconds: sum and count of `all`, quantiles of `recent`, if that holds anything.
    pub fn quantiles(&mut self, family: &Family, labels: Labels<'_>, all: &Sparse, recent: &Sparse) {
        let text = label_text(family, labels);
        for (q, label) in QUANTILES {
            if let Some(duration_us) = recent.quantile(q) {
                self.line(family, "", &text, &format!("quantile=\"{label}\""), duration_us as f64 / 1e6);
            }
        }
        self.summary(family, labels, all.sum_us as f64 / 1e6, all.count());
    }

    fn line(&mut self, family: &Family, suffix: &str, labels: &str, extra: &str, value: impl Display) {
        let comma = if labels.is_empty() || extra.is_empty() { "" } else { "," };
        let name = family.name;
        let _ = match labels.is_empty() && extra.is_empty() {
            true => writeln!(self.text, "{name}{suffix} {value}"),
            false => writeln!(self.text, "{name}{suffix}{{{labels}{comma}{extra}}} {value}"),
        };
    }
}

fn label_text(family: &Family, labels: Labels<'_>) -> String {
    let mut text = String::new();
    for (name, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
        debug_assert!(family.labels.contains(name), "{} has no label {name}", family.name);
        if !text.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{name}=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                _ => text.push(c),
            }
        }
        text.push('"');
    }
    text
}

#[cfg(test)]
#[path = "exposition/tests.rs"]
mod tests;

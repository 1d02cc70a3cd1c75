//! TLS: handshakes, and certificates with their ends. Listeners without TLS are left out.

use std::sync::Arc;

use super::Writer;
use super::shards::Names;
use crate::families;
use crate::handshakes::{HandshakeSeries, Shaken};
use crate::shard::Shard;

/// How many of a certificate's names stand in its label.
const NAMES: usize = 4;

/// A certificate that listeners serve with.
#[derive(Clone, Debug, Default)]
pub struct CertificateState {
    /// The listeners.
    pub listeners: Vec<String>,
    /// What it is found by: its file, or how it came.
    pub id: String,
    /// The names that it is for.
    pub names: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
    /// Its files hold something else by now that cannot be used.
    pub is_stuck: bool,
}

/// How often certificates were replaced because their files had changed, and how often that failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replacements {
    /// Taken.
    pub ok: u64,
    /// Refused; the certificate before serves on.
    pub failed: u64,
}

/// Writes what is known of certificates.
pub fn write_certificates(
    writer: &mut Writer,
    certificates: &[CertificateState],
    replacements: Replacements,
) {
    let families = [&families::CERTIFICATE_EXPIRY, &families::CERTIFICATE_STUCK];
    for (number, family) in families.into_iter().enumerate() {
        writer.family(family);
        for certificate in certificates {
            let value = if number == 0 { certificate.not_after } else { i64::from(certificate.is_stuck) };
            let names = named(&certificate.names);
            for listener in &certificate.listeners {
                let labels = [("listener", &**listener), ("certificate", &certificate.id), ("names", &names)];
                writer.series(family, &labels, value);
            }
        }
    }
    let family = &families::CERTIFICATES_REPLACED;
    writer.family(family);
    writer.series(family, &[("result", "ok")], replacements.ok);
    writer.series(family, &[("result", "failed")], replacements.failed);
}

fn named(names: &[String]) -> String {
    let shown = names.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(",");
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown},+{more}"),
    }
}

pub(super) fn write_handshakes(writer: &mut Writer, shards: &[Arc<Shard>], names: &Names) {
    let family = &families::HANDSHAKES;
    writer.family(family);
    for (index, name) in names.listeners.iter().enumerate() {
        let of = |shard: &'_ Arc<Shard>| shard.listeners.get(index).cloned();
        let listeners: Vec<_> = shards.iter().filter_map(of).collect();
        let series: Vec<&HandshakeSeries> =
            listeners.iter().filter_map(|listener| listener.handshakes.get()).map(|all| &**all).collect();
        if series.is_empty() {
            continue;
        }
        for shaken in Shaken::all() {
            let total: u64 = series.iter().map(|series| series.ended(shaken)).sum();
            let [result, version, resumed] = shaken.labels();
            let labels =
                [("listener", &**name), ("result", result), ("version", version), ("resumed", resumed)];
            writer.series(family, &labels, total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CertificateState, Replacements, Writer, write_certificates};

    #[test]
    fn a_certificate_with_many_names_is_told_by_the_first() {
        let names = ["a", "b", "c", "d", "e", "f"].map(str::to_owned).to_vec();
        let listeners = vec!["web".to_owned(), "api".to_owned()];
        let state = CertificateState { listeners, id: "x.pem".into(), names, not_after: 7, is_stuck: false };
        let mut writer = Writer::default();
        write_certificates(&mut writer, &[state], Replacements::default());
        let text = writer.finish();
        for listener in ["web", "api"] {
            let labels = format!("{{listener=\"{listener}\",certificate=\"x.pem\",names=\"a,b,c,d,+2\"}}");
            assert!(text.contains(&format!("tollgate_certificate_expiry_seconds{labels} 7\n")), "{text}");
        }
    }
}

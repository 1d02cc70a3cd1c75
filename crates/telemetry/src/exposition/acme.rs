//! Certificates by ACME.

use std::time::Duration;

use super::Writer;
use crate::families;

/// What is known of a certificate at the moment of the scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeState {
    /// The name that it goes by.
    pub name: String,
    /// When it is ordered next, since 1970.
    pub next_order: Duration,
    /// Orders that failed since the last one that did not.
    pub failures: u32,
}

/// Writes what is known of certificates by ACME.
pub fn write_acme(writer: &mut Writer, certificates: &[AcmeState]) {
    writer.family(&families::ACME_NEXT_ORDER);
    for certificate in certificates {
        let labels = [("name", certificate.name.as_str())];
        writer.series(&families::ACME_NEXT_ORDER, &labels, certificate.next_order.as_secs());
    }
    writer.family(&families::ACME_FAILURES);
    for certificate in certificates {
        let labels = [("name", certificate.name.as_str())];
        writer.series(&families::ACME_FAILURES, &labels, certificate.failures);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{AcmeState, write_acme};
    use crate::exposition::Writer;

    #[test]
    fn each_certificate_has_its_series() {
        let state = |name: &str, seconds, failures| AcmeState {
            name: name.to_owned(),
            next_order: Duration::from_secs(seconds),
            failures,
        };
        let mut writer = Writer::default();
        write_acme(&mut writer, &[state("a.example", 1_800_000_000, 0), state("b.example", 0, 3)]);
        let text = writer.finish();
        for line in [
            "tollgate_acme_next_order_timestamp_seconds{name=\"a.example\"} 1800000000",
            "tollgate_acme_next_order_timestamp_seconds{name=\"b.example\"} 0",
            "tollgate_acme_failures{name=\"b.example\"} 3",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in:\n{text}");
        }
    }
}

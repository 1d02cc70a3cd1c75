//! The sources that endpoints come from.

use super::Writer;
use crate::families;

/// What is known of a source at the moment of the scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// Its upstream.
    pub upstream: String,
    /// Its name there.
    pub source: String,
    /// How many endpoints its last good answer has; 0 where there was none.
    pub endpoints: u64,
    /// Looks at it that failed.
    pub failures: u64,
    /// Milliseconds since its last good answer; `None` where there was none.
    pub age_ms: Option<u64>,
}

/// Writes what is known of each source.
pub fn write_discovery(writer: &mut Writer, sources: &[SourceState]) {
    writer.family(&families::DISCOVERY_ENDPOINTS);
    for source in sources {
        writer.series(&families::DISCOVERY_ENDPOINTS, &source.labels(), source.endpoints);
    }
    writer.family(&families::DISCOVERY_FAILURES);
    for source in sources {
        writer.series(&families::DISCOVERY_FAILURES, &source.labels(), source.failures);
    }
    writer.family(&families::DISCOVERY_AGE);
    for (source, age_ms) in sources.iter().filter_map(|source| Some((source, source.age_ms?))) {
        writer.series(&families::DISCOVERY_AGE, &source.labels(), age_ms as f64 / 1e3);
    }
}

impl SourceState {
    fn labels(&self) -> [(&'static str, &str); 2] {
        [("upstream", &self.upstream), ("source", &self.source)]
    }
}

#[cfg(test)]
mod tests {
    use super::{SourceState, write_discovery};
    use crate::exposition::Writer;

    #[test]
    fn each_source_has_its_series_and_an_age_only_with_an_answer() {
        let state = |source: &str, endpoints, failures, age_ms| SourceState {
            upstream: "shop".to_owned(),
            source: source.to_owned(),
            endpoints,
            failures,
            age_ms,
        };
        let mut writer = Writer::default();
        write_discovery(&mut writer, &[state("dns a:80", 3, 0, Some(2_500)), state("file b", 0, 7, None)]);
        let text = writer.finish();
        for line in [
            "tollgate_discovery_endpoints{upstream=\"shop\",source=\"dns a:80\"} 3",
            "tollgate_discovery_endpoints{upstream=\"shop\",source=\"file b\"} 0",
            "tollgate_discovery_failures_total{upstream=\"shop\",source=\"file b\"} 7",
            "tollgate_discovery_age_seconds{upstream=\"shop\",source=\"dns a:80\"} 2.5",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in:\n{text}");
        }
        assert_eq!(text.matches("tollgate_discovery_age_seconds{").count(), 1, "{text}");
    }
}

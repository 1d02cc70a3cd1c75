//! The access logs of a document, compiled.

use super::conditions::Conditions;
use super::headers::{HeadSide, HeaderRef, HeaderSet};
use super::query::QueryRule;
use super::template::Template;
use super::{Entry, clf, json, pretty};
use crate::log_writer::Destination;

/// All exchanges, as a sample in hundredths of a percent.
const ALL: u16 = 10_000;

/// The form of a log's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people, perhaps with colours.
    Pretty {
        /// Whether a terminal shows it that knows colours.
        colour: bool,
    },
    /// The common log format.
    Common,
    /// The combined log format.
    Combined,
    /// The document's own.
    Template(Template),
}

/// One log: what it is told, how, and where that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRules {
    destination: Destination,
    form: Form,
    /// An exchange is logged if one of them holds, or if there are none.
    when: Vec<Conditions>,
    /// How many of those that did not fail, in hundredths of a percent.
    sample: u16,
    pub(super) query: QueryRule,
    headers: Vec<HeaderRef>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Pretty { colour: bool },
    Common,
    Combined(Box<[HeaderRef; 2]>),
    Template(Template),
}

impl LogRules {
    /// A log of all exchanges, without queries.
    pub fn new(destination: Destination, format: Format) -> Self {
        let header = |name| HeaderRef::new(HeadSide::Request, name);
        let form = match format {
            Format::Json => Form::Json,
            Format::Pretty { colour } => Form::Pretty { colour },
            Format::Common => Form::Common,
            Format::Combined => Form::Combined(Box::new([header("referer"), header("user-agent")])),
            Format::Template(template) => Form::Template(template),
        };
        let (query, headers) = (QueryRule::Hide, Vec::new());
        Self { destination, form, when: Vec::new(), sample: ALL, query, headers }
    }

    /// Logs only exchanges for which one of the conditions holds.
    #[must_use]
    pub fn when(mut self, conditions: Vec<Conditions>) -> Self {
        self.when = conditions;
        self
    }

    /// Of the exchanges that did not fail, logs so many hundredths of a percent.
    #[must_use]
    pub fn sample(mut self, hundredths: u16) -> Self {
        self.sample = hundredths;
        self
    }

    /// What is shown of queries.
    #[must_use]
    pub fn query(mut self, rule: QueryRule) -> Self {
        self.query = rule;
        self
    }

    /// Adds a header of the request to the formats that have names for values: JSON and pretty.
    #[must_use]
    pub fn request_header(mut self, name: &str) -> Self {
        self.headers.push(HeaderRef::new(HeadSide::Request, name));
        self
    }

    /// Adds a header of the response.
    #[must_use]
    pub fn response_header(mut self, name: &str) -> Self {
        self.headers.push(HeaderRef::new(HeadSide::Response, name));
        self
    }

    /// Where the lines go.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    pub(super) fn headers(&self) -> &[HeaderRef] {
        &self.headers
    }

    /// Whether an exchange is to be logged. The sample is taken by the exchange's seed, so that asking
    /// again gives the same answer.
    pub(super) fn wants(&self, entry: &Entry<'_>) -> bool {
        if !self.when.is_empty() && !self.when.iter().any(|conditions| conditions.hold(entry)) {
            return false;
        }
        self.sample >= ALL || entry.failed() || is_sampled(entry.seed, self.sample)
    }

    /// Appends the entry's line.
    pub(super) fn write(&self, out: &mut Vec<u8>, entry: &Entry<'_>) {
        match &self.form {
            Form::Json => json::write(out, entry, self),
            Form::Pretty { colour } => pretty::write(out, entry, self, *colour),
            Form::Common => clf::write_common(out, entry, self),
            Form::Combined(added) => clf::write_combined(out, entry, self, added),
            Form::Template(template) => template.write(out, entry, self),
        }
    }

    /// Tells the set what this log wants to have kept, and notes where that will be.
    fn want(&mut self, set: &mut HeaderSet) {
        self.headers.iter_mut().for_each(|header| set.want(header));
        let in_form = match &mut self.form {
            Form::Json | Form::Pretty { .. } | Form::Common => true,
            Form::Combined(added) => {
                added.iter_mut().for_each(|header| set.want(header));
                true
            }
            Form::Template(template) => {
                template.headers().for_each(|header| set.want(header));
                template.has_query()
            }
        };
        if in_form && self.query != QueryRule::Hide {
            set.want_query();
        }
    }
}

/// The seed decides other things as well, so it is mixed before the comparison.
fn is_sampled(seed: u64, hundredths: u16) -> bool {
    let mixed = (seed ^ (seed >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    mixed * u64::from(ALL) < u64::from(hundredths) << 32
}

/// All logs of a document. Made when it is compiled, used by the workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPlan {
    logs: Vec<LogRules>,
    headers: HeaderSet,
}

impl LogPlan {
    /// A plan of these logs. Several may share a destination.
    pub fn new(mut logs: Vec<LogRules>) -> Self {
        let mut headers = HeaderSet::default();
        logs.iter_mut().for_each(|log| log.want(&mut headers));
        Self { logs, headers }
    }

    /// The logs.
    pub fn logs(&self) -> &[LogRules] {
        &self.logs
    }

    /// What must be kept of each exchange's heads.
    pub fn headers(&self) -> &HeaderSet {
        &self.headers
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::entry;
    use super::*;
    use crate::access::Captured;
    use tollgate_decision::Reason;
    use tollgate_runtime::Random;

    fn log() -> LogRules {
        LogRules::new(Destination::Stdout, Format::Json)
    }

    #[test]
    fn a_sample_has_its_share_and_all_failures() {
        let captured = Captured::default();
        let mut entry = entry(&captured);
        let mut random = Random::from_seed(5);
        for (hundredths, least, most) in
            [(0, 0, 0), (1000, 9_500, 10_500), (5, 20, 90), (10_000, 100_000, 100_000)]
        {
            let log = log().sample(hundredths);
            let mut kept = 0;
            for _ in 0..100_000 {
                entry.seed = random.next_u64();
                kept += u32::from(log.wants(&entry));
            }
            assert!((least..=most).contains(&kept), "{hundredths}: {kept}");
        }
        let none = log().sample(0);
        assert!(!none.wants(&entry));
        assert!(none.wants(&Entry { reason: Reason::NoRoute, status: 404, ..entry }));
        assert!(none.wants(&Entry { status: 500, ..entry }), "an upstream's own 500");
        assert!(!none.wants(&Entry { status: 404, ..entry }), "an upstream's own 404");
    }

    #[test]
    fn one_of_the_conditions_is_enough() {
        let captured = Captured::default();
        let entry = entry(&captured);
        let slow = Conditions { at_least_us: 1_000_000, ..Conditions::default() };
        let failed = Conditions { statuses: vec![(500, 599)], ..Conditions::default() };
        let log = log().when(vec![slow, failed]);
        assert!(!log.wants(&entry));
        assert!(log.wants(&Entry { status: 503, ..entry }));
        let timings = crate::access::Timings { total_us: 1_000_000, ..entry.timings };
        assert!(log.wants(&Entry { timings, ..entry }));
    }
}

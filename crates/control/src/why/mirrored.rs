//! How the answers of mirrors differed from the one that the client got.

use std::fmt;

use serde_json::{Value as Json, json};
use tollgate_comparison::Difference;
use tollgate_proxy::mirroring::board::{Differing, Outcome};

/// How a mirror's answer differed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorTold {
    /// The mirror's upstream.
    pub upstream: String,
    /// In one sentence.
    pub summary: String,
    /// Where, and what stands there.
    pub differences: Vec<Difference>,
    /// How many more there were.
    pub more: usize,
}

impl MirrorTold {
    /// Tells of one.
    pub fn new(differing: &Differing) -> Self {
        let upstream = differing.subject.upstream.to_string();
        match &differing.outcome {
            Outcome::Unanswered(reason) => Self {
                upstream,
                summary: format!("did not answer: {}", reason.code()),
                differences: Vec::new(),
                more: 0,
            },
            Outcome::Compared(comparison) => {
                let (differences, more) = (comparison.differences.clone(), comparison.more);
                let count = differences.len() + more;
                let note = comparison.note.map_or_else(String::new, |note| format!("; {note}"));
                let plural = if count == 1 { "" } else { "s" };
                let summary = format!("answered otherwise: {count} difference{plural}{note}");
                Self { upstream, summary, differences, more }
            }
        }
    }

    /// For programs.
    pub fn to_json(&self) -> Json {
        let differences = self.differences.iter().map(|difference| {
            json!({
                "place": difference.place.to_string(),
                "origin": difference.first,
                "mirror": difference.second,
            })
        });
        json!({
            "upstream": self.upstream,
            "summary": self.summary,
            "differences": differences.collect::<Vec<_>>(),
            "more": self.more,
        })
    }
}

/// For people.
impl fmt::Display for MirrorTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "mirror      {} {}", self.upstream, self.summary)?;
        for Difference { place, first, second } in &self.differences {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
            writeln!(f, "            {place}: {}, at the mirror {}", value(first), value(second))?;
        }
        match self.more {
            0 => Ok(()),
            more => writeln!(f, "            and {more} more"),
        }
    }
}

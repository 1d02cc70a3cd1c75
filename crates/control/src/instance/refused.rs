//! Why a document was not put into force.

use std::fmt;

use tollgate_config::Severity;

use crate::prepare::Prepared;

/// What a refusal is due to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The document.
    Document,
    /// An earlier document was asked for that is not kept.
    NotKept,
    /// The state of things: another document is on trial, an address is taken, the process is draining.
    Conflict,
    /// The machine: no thread could be started.
    Machine,
}

/// A document that was not put into force. What ran goes on as it was.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What it is due to.
    pub fault: Fault,
    /// What is wrong, in a line.
    pub problem: String,
    /// All findings with the lines they are about, for people; empty where the text is not at fault.
    pub report: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.problem)?;
        match self.report.is_empty() {
            true => Ok(()),
            false => write!(f, "\n{}", self.report.trim_end()),
        }
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// For findings: the first error stands for all in the one line.
    pub(super) fn document(prepared: &Prepared, report: String) -> Self {
        let mut errors = prepared.diagnostics.iter().filter(|found| found.severity == Severity::Error);
        let first = errors.next().map(|error| match prepared.sources.place(error.origin) {
            Some(place) => format!(": {place}: {}", error.message),
            None => format!(": {}", error.message),
        });
        let more = match prepared.diagnostics.errors() {
            0 | 1 => String::new(),
            2 => ", and another error".to_owned(),
            errors => format!(", and {} other errors", errors - 1),
        };
        let problem = format!("the document is not fit for use{}{more}", first.unwrap_or_default());
        Self { fault: Fault::Document, problem, report }
    }

    pub(super) fn not_kept(problem: impl Into<String>) -> Self {
        Self { fault: Fault::NotKept, problem: problem.into(), report: String::new() }
    }

    pub(super) fn conflict(problem: impl Into<String>) -> Self {
        Self { fault: Fault::Conflict, ..Self::not_kept(problem) }
    }

    pub(super) fn failed(problem: impl Into<String>) -> Self {
        Self { fault: Fault::Machine, ..Self::not_kept(problem) }
    }
}

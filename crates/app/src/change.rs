//! What the verbs that change the document have in common: what they send, and what they tell.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tollgate_admin::problem::Problem;
use tollgate_admin::resources::config::{AppliedStatus, ChangeStatus, SentDocument};
use tollgate_config::Bundle;

use crate::terminal::{self, Tone, painted};
use crate::{documents, exit};

/// The texts of the document at `path`, for an instance that may run elsewhere. Findings are for the
/// instance to make: what a variable or a file of secrets holds there is not known here.
pub fn read(path: &Path) -> Result<SentDocument> {
    let loaded = documents::texts(path);
    let bundle = Bundle::of(&loaded.sources)
        .with_context(|| format!("cannot read {}: {}", path.display(), first_finding(&loaded)))?;
    let bundle = bundle.below(&std::env::current_dir().context("there is no working directory")?);
    Ok(SentDocument {
        root: bundle.root,
        files: bundle.files,
        confirm_seconds: None,
        baseline_seconds: None,
        traffic: false,
    })
}

fn first_finding(loaded: &tollgate_config::Loaded) -> String {
    loaded.diagnostics.iter().next().map_or_else(String::new, |finding| finding.message.clone())
}

/// Tells what became of a change.
pub fn tell(answer: Result<AppliedStatus, Problem>, json: bool) -> Result<ExitCode> {
    let applied = match answer {
        Ok(applied) => applied,
        Err(problem) => return refused(&problem, "refused, what runs goes on as it was", json),
    };
    if json {
        return crate::commands::print(&format!("{:#}\n", serde_json::to_value(&applied)?));
    }
    eprint!("{}", applied.warnings);
    if applied.unchanged {
        return crate::commands::print(&format!(
            "nothing changed: document {} stays in force\n",
            applied.number
        ));
    }
    let changes = lines(&applied.changes, applied.left_out);
    crate::commands::print(&format!("document {} is in force\n{changes}", applied.number))
}

/// Tells that a document was refused: first what is wrong, then what that means, where one looks last.
pub fn refused(problem: &Problem, meaning: &str, json: bool) -> Result<ExitCode> {
    if json {
        crate::commands::print(&format!("{:#}\n", serde_json::to_value(problem)?))?;
    } else {
        let report = problem.report.as_deref().unwrap_or_default();
        eprintln!("{report}\ntollgate: {meaning}: {}", problem.detail);
    }
    Ok(exit::INVALID_DOCUMENT.into())
}

/// Changes in words, a line each.
pub fn lines(changes: &[ChangeStatus], left_out: usize) -> String {
    let colours = terminal::colours();
    let line = |change: &ChangeStatus| {
        let tone = match change.text.chars().next() {
            Some('+') => Tone::Good,
            Some('-') => Tone::Bad,
            Some('!') => Tone::Doubtful,
            _ => Tone::Plain,
        };
        format!("  {}\n", painted(&change.text, tone, colours))
    };
    let mut text: String = changes.iter().map(line).collect();
    if left_out > 0 {
        text.push_str(&format!("  and {left_out} more\n"));
    }
    text
}

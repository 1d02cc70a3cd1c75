//! `tollgate check`: everything that is wrong with a document, its failed tests included.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value as Json, json};
use tollgate_config::{Diagnostic, Document, Note, OnFailedTests, Origin, Severity, Sources};
use tollgate_control::expectations::Tried;
use tollgate_control::prepare::{Prepared, Ready};

use crate::documents;
use crate::exit;

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document; else ./tollgate.yaml, else /etc/tollgate/tollgate.yaml
    #[arg(value_name = "FILE", env = "TOLLGATE_CONFIG")]
    file: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Checks. Nothing is bound and no name is resolved. A test that fails fails the check, whatever the document says
/// of failed tests.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let path = documents::find(arguments.file.as_deref())?;
    let (prepared, tried) = documents::look_at(&path).try_tests(Some(OnFailedTests::Refuse));
    if arguments.json {
        super::print(&format!("{:#}\n", to_json(&path, &prepared, &tried)))?;
    } else {
        documents::report(&prepared);
    }
    let Some(Ready { document, .. }) = &prepared.ready else {
        if !arguments.json && tried.run > 0 {
            eprintln!("{}", tried.summary());
        }
        return Ok(exit::INVALID_DOCUMENT.into());
    };
    match arguments.json {
        true => Ok(ExitCode::SUCCESS),
        false => super::print(&praise(&path, document, &prepared, &tried)),
    }
}

fn praise(path: &Path, document: &Document, prepared: &Prepared, tried: &Tried) -> String {
    let warnings = match prepared.diagnostics.warnings() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        n => format!(", {n} warnings"),
    };
    let tests = if tried.run > 0 { format!("{}\n", tried.summary()) } else { String::new() };
    format!(
        "{} is fine: {} listeners, {} routes, {} upstreams{warnings}\n{tests}",
        path.display(),
        document.listen.len(),
        document.routes.len(),
        document.upstreams.len(),
    )
}

fn to_json(path: &Path, prepared: &Prepared, tried: &Tried) -> Json {
    let Prepared { ready, diagnostics, sources } = prepared;
    let findings = diagnostics.iter().map(|finding| finding_json(finding, sources));
    json!({
        "document": path.display().to_string(),
        "fine": ready.is_some(),
        "errors": diagnostics.errors(),
        "warnings": diagnostics.warnings(),
        "findings": findings.collect::<Vec<_>>(),
        "tests": tried.to_json(sources),
    })
}

fn finding_json(finding: &Diagnostic, sources: &Sources) -> Json {
    let notes = finding
        .notes
        .iter()
        .map(|Note { message, origin }| json!({ "message": message, "place": place(*origin, sources) }));
    json!({
        "severity": match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "message": finding.message,
        "place": place(finding.origin, sources),
        "help": finding.mend,
        "notes": notes.collect::<Vec<_>>(),
    })
}

fn place(origin: Origin, sources: &Sources) -> Json {
    match origin.is_known() {
        true => json!({ "file": sources.name(origin.file), "line": origin.line, "column": origin.column }),
        false => Json::Null,
    }
}

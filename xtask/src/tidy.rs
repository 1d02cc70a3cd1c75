//! What the machine checks about the text of the project, beside what the compiler and clippy check.

mod exceptions;
mod rules;
mod source;
mod tokens;

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use source::{Code, Source};
pub(crate) use tokens::{Kind, tokens};

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// Relative to the root.
    pub(crate) path: String,
    /// The line, from 1; 0 where the whole file is meant.
    pub(crate) line: usize,
    /// What is wrong and what to do instead.
    pub(crate) message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rule, path, line, message } = self;
        match line {
            0 => write!(f, "{path}: {message} [{rule}]"),
            line => write!(f, "{path}:{line}: {message} [{rule}]"),
        }
    }
}

/// The project's files.
#[derive(Debug)]
pub(crate) struct Project {
    /// The root of the workspace.
    pub(crate) root: PathBuf,
    /// All files that are under version control or would be, relative to the root, sorted.
    pub(crate) files: Vec<String>,
    /// The Rust files among them.
    pub(crate) sources: Vec<Source>,
}

impl Project {
    /// Reads the project at this root.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let files = listed(root)?;
        let mut sources = Vec::new();
        for path in files.iter().filter(|path| path.ends_with(".rs")) {
            sources.push(Source { path: path.clone(), text: text(root, path)?, is_test: false });
        }
        source::mark_tests(&mut sources);
        Ok(Self { root: root.to_path_buf(), files, sources })
    }

    /// The Rust files of the product: the crates without tests, and without what only builds or measures it.
    pub(crate) fn product(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.path.starts_with("crates/") && !source.is_test)
    }

    /// The text of a file.
    pub(crate) fn text(&self, path: &str) -> Result<String, String> {
        text(&self.root, path)
    }
}

fn text(root: &Path, path: &str) -> Result<String, String> {
    std::fs::read_to_string(root.join(path)).map_err(|error| format!("cannot read {path}: {error}"))
}

/// Tracked files and those that are neither tracked nor ignored, as far as they are there.
fn listed(root: &Path) -> Result<Vec<String>, String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let output = git.output().map_err(|error| format!("git does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    let names = names.split('\0').filter(|name| !name.is_empty() && root.join(name).is_file());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Applies all rules. What they found beyond the exceptions, and the exceptions that are not needed.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>, String> {
    let project = Project::read(root)?;
    let mut found = Vec::new();
    for rule in rules::ALL {
        let places = (rule.check)(&project)?;
        found.extend(places.into_iter().map(|(path, line, message)| Finding {
            rule: rule.name,
            path,
            line,
            message,
        }));
    }
    found.sort();
    let exceptions = exceptions::parse(&project.text(exceptions::FILE)?)?;
    for exception in &exceptions {
        if !rules::ALL.iter().any(|rule| rule.name == exception.rule) {
            return Err(format!("{} names the rule `{}`, which is none", exceptions::FILE, exception.rule));
        }
    }
    Ok(exceptions::apply(found, &exceptions))
}

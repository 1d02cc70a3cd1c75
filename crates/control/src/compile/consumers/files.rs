//! Files of consumers: loading them, and loading them again when they change.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tollgate_config::{
    Diagnostic, Diagnostics, FilePath, Files as _, LoadedConsumers, Located, MAX_CONSUMER_FILE, Origin,
    consumer_paths, load_consumers,
};
use tollgate_policy::{ConsumerCell, Consumers};

use super::part::Part;
use super::{Excerpts, merged};
use crate::beside::{FromFiles, Reading, Refreshed, Seen};

/// What consumers are made from: the document's own, and the patterns of names of files.
#[derive(Debug)]
pub(super) struct ConsumerFiles {
    own: Part,
    patterns: Vec<Located<FilePath>>,
}

/// The consumers of a file, and what it looked like.
#[derive(Debug)]
pub(super) struct FilePart {
    path: PathBuf,
    part: Part,
    seen: Seen,
}

/// What came of loading.
pub(super) struct Loaded {
    pub(super) consumers: Consumers,
    /// The files that could be used, now or before.
    pub(super) parts: Vec<Arc<FilePart>>,
    pub(super) diagnostics: Diagnostics,
    pub(super) seen: Seen,
}

impl ConsumerFiles {
    pub(super) fn new(own: Part, patterns: &[Located<FilePath>]) -> Self {
        Self { own, patterns: patterns.to_vec() }
    }

    /// Loads the files. Those that look as they did `before` are not read again; of those that cannot be used, what
    /// they held before stays.
    pub(super) fn load(&self, before: &[Arc<FilePart>], excerpts: &mut Excerpts) -> Loaded {
        let (mut diagnostics, mut seen) = (Diagnostics::default(), Seen::default());
        let (mut parts, mut numbers) = (Vec::new(), Vec::new());
        let held: HashMap<&Path, &Arc<FilePart>> = before.iter().map(|part| (&*part.path, part)).collect();
        for (path, named) in self.paths(before, &mut diagnostics, &mut seen) {
            let number = excerpts.add(path.display().to_string());
            let known = held.get(&*path).copied();
            if let Some(known) = known.filter(|known| known.seen.is_current()) {
                seen.extend(&known.seen);
                parts.push(known.clone());
                numbers.push(number);
                continue;
            }
            let reading = Reading::default();
            let errors = diagnostics.errors();
            let part = read(&path, (named, number), &reading, &mut diagnostics, excerpts);
            let now = reading.seen();
            seen.extend(&now);
            let broken = diagnostics.errors() > errors;
            let part = match known {
                Some(known) if broken => known.clone(),
                None if broken => continue,
                _ => Arc::new(FilePart { path, part, seen: now }),
            };
            parts.push(part);
            numbers.push(number);
        }
        let files = parts.iter().zip(&numbers).map(|(part, number)| (&part.part, Some(*number)));
        let all: Vec<_> = std::iter::once((&self.own, None)).chain(files).collect();
        let consumers = merged(&all, &mut diagnostics);
        Loaded { consumers, parts, diagnostics, seen }
    }

    /// The files, in the order of the patterns and then of their names, each once.
    fn paths(
        &self,
        before: &[Arc<FilePart>],
        found: &mut Diagnostics,
        seen: &mut Seen,
    ) -> Vec<(PathBuf, Origin)> {
        let reading = Reading::default();
        let (mut paths, mut taken) = (Vec::new(), HashSet::new());
        for pattern in &self.patterns {
            let named = match consumer_paths(pattern, &reading) {
                Ok(named) => named,
                Err(problem) => {
                    found.push(Diagnostic::error(pattern.origin, problem));
                    // Which of them this pattern named does not matter: none is given up.
                    before.iter().map(|part| part.path.clone()).collect()
                }
            };
            for path in named {
                if taken.insert(path.clone()) {
                    paths.push((path, pattern.origin));
                }
            }
        }
        seen.extend(&reading.seen());
        paths
    }

    /// Together with the cell that it feeds from now on.
    pub(super) fn in_force(self, cell: Arc<ConsumerCell>, parts: Vec<Arc<FilePart>>) -> InForce {
        InForce { files: self, cell, parts: Mutex::new(parts) }
    }
}

/// Reads a file, which is named in one place and has a number in findings. What is wrong in it is left out and told.
fn read(
    path: &Path,
    (named, number): (Origin, u32),
    reading: &Reading,
    found: &mut Diagnostics,
    excerpts: &mut Excerpts,
) -> Part {
    let shown = path.display();
    let text = reading.read(path, MAX_CONSUMER_FILE).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => format!("it is larger than {MAX_CONSUMER_FILE} bytes"),
        _ => error.to_string(),
    });
    let text = text.and_then(|bytes| {
        let text = String::from_utf8(bytes);
        text.map_err(|error| format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
    });
    let text = match text {
        Ok(text) => text,
        Err(problem) => {
            found.push(Diagnostic::error(named, format!("cannot read `{shown}`: {problem}")));
            return Part::default();
        }
    };
    let environment = |name: &str| std::env::var(name).ok();
    let LoadedConsumers { consumers, diagnostics, sources } =
        load_consumers(&shown.to_string(), text, reading, &environment);
    let here = |origin: Origin| match origin.is_known() {
        true => Origin { file: number, ..origin },
        false => origin,
    };
    let mut all = diagnostics;
    let part = Part::of(&consumers, reading, &mut all);
    for finding in all.iter() {
        let mut finding = finding.clone();
        finding.origin = here(finding.origin);
        finding.notes.iter_mut().for_each(|note| note.origin = here(note.origin));
        let places = std::iter::once(finding.origin).chain(finding.notes.iter().map(|note| note.origin));
        for place in places.filter(|place| place.file == number) {
            if let Some(line) = sources.line(0, place.line) {
                excerpts.keep_line(place, line);
            }
        }
        found.push(finding);
    }
    part
}

/// The consumers in force, which follow their files.
#[derive(Debug)]
pub(super) struct InForce {
    files: ConsumerFiles,
    cell: Arc<ConsumerCell>,
    parts: Mutex<Vec<Arc<FilePart>>>,
}

impl FromFiles for InForce {
    fn kind(&self) -> &'static str {
        "consumers"
    }

    fn refresh(&self) -> Refreshed {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut excerpts = Excerpts::default();
        let loaded = self.files.load(&parts, &mut excerpts);
        let same = parts.len() == loaded.parts.len()
            && parts.iter().zip(&loaded.parts).all(|(before, now)| Arc::ptr_eq(before, now));
        let count = loaded.consumers.len();
        let taken = (!same).then(|| {
            self.cell.set(Arc::new(loaded.consumers));
            *parts = loaded.parts;
            format!("files of consumers have changed: {count} consumers are in force")
        });
        Refreshed { taken, problems: problems(&loaded.diagnostics, &excerpts), seen: loaded.seen }
    }
}

/// What is wrong, a line for each file: the first finding in it, and how many there are.
fn problems(found: &Diagnostics, excerpts: &Excerpts) -> Vec<String> {
    let mut by_file: BTreeMap<u32, (&Diagnostic, usize)> = BTreeMap::new();
    for finding in found.iter() {
        by_file.entry(finding.origin.file).or_insert((finding, 0)).1 += 1;
    }
    let line = |(finding, count): (&Diagnostic, usize)| {
        let place = excerpts.place(finding.origin).map_or_else(String::new, |place| format!("{place}: "));
        let more = if count > 1 { format!(", and {} more", count - 1) } else { String::new() };
        format!("{place}{}{more}; what was there before stays in force", finding.message)
    };
    by_file.into_values().map(line).collect()
}

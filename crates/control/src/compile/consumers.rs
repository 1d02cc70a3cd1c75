//! Consumers: those of the document and of the files that it names, put together.

mod credentials;
mod files;
mod part;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_config::{Diagnostic, Diagnostics, Origin, Sources};
use tollgate_policy::{ConsumerCell, Consumers, CredentialKind};

use super::Compiler;
use crate::beside::Reading;

use self::files::ConsumerFiles;
use self::part::Part;

/// Findings in sources of this number and above are about files beside the document: see [`Excerpts`].
const BESIDE: u32 = 1 << 30;

/// Of files beside the document that findings are about: their names, and the lines that are shown, secrets masked.
#[derive(Debug, Default)]
pub struct Excerpts(Vec<(String, BTreeMap<u32, String>)>);

impl Excerpts {
    /// Adds a file and gives its number.
    fn add(&mut self, name: String) -> u32 {
        self.0.push((name, BTreeMap::new()));
        BESIDE + u32::try_from(self.0.len() - 1).unwrap_or(0)
    }

    fn keep_line(&mut self, origin: Origin, line: String) {
        if let Some((_, lines)) = self.0.get_mut(origin.file.wrapping_sub(BESIDE) as usize) {
            lines.insert(origin.line, line);
        }
    }

    /// A place in a line.
    fn place(&self, origin: Origin) -> Option<String> {
        let (name, _) = self.0.get(origin.file.wrapping_sub(BESIDE) as usize)?;
        Some(format!("{name}:{}:{}", origin.line, origin.column))
    }

    /// Puts them among the sources of the document, and has the findings point there.
    pub fn join(self, sources: &mut Sources, diagnostics: &Diagnostics) -> Diagnostics {
        let text = |lines: &BTreeMap<u32, String>| {
            let last = lines.keys().last().copied().unwrap_or(0);
            let line = |number| lines.get(&number).map_or("", |line| line.as_str());
            (1..=last).map(line).collect::<Vec<_>>().join("\n")
        };
        let mut numbers = Vec::with_capacity(self.0.len());
        for (name, lines) in self.0 {
            numbers.push(sources.add(name, text(&lines)));
        }
        let moved = |origin: &mut Origin| {
            if let Some(number) = numbers.get(origin.file.wrapping_sub(BESIDE) as usize) {
                origin.file = *number;
            }
        };
        let mut joined = Diagnostics::default();
        for finding in diagnostics.iter() {
            let mut finding = finding.clone();
            moved(&mut finding.origin);
            finding.notes.iter_mut().for_each(|note| moved(&mut note.origin));
            joined.push(finding);
        }
        joined
    }
}

impl Compiler<'_> {
    /// The consumers in force with this document, found by what they show. Files are watched from now on.
    pub(super) fn consumers(&mut self) -> Arc<ConsumerCell> {
        let gate = &self.document.gate;
        let reading = Reading::default();
        let own = Part::of(&gate.consumers, &reading, &mut self.diagnostics);
        let files = ConsumerFiles::new(own, &gate.consumer_files);
        let loaded = files.load(&[], &mut self.beside.excerpts);
        loaded.diagnostics.iter().for_each(|finding| self.diagnostics.push(finding.clone()));
        let mut seen = reading.seen();
        seen.extend(&loaded.seen);
        let cell = Arc::new(ConsumerCell::new(Arc::new(loaded.consumers)));
        if !gate.consumer_files.is_empty() {
            self.beside.watched.add(Arc::new(files.in_force(cell.clone(), loaded.parts)), seen);
        }
        cell
    }
}

/// Puts the consumers of several texts together, each with its number in findings unless that is its own. Of two
/// with the same name, and of two with the same credential, the first stays.
fn merged(parts: &[(&Part, Option<u32>)], found: &mut Diagnostics) -> Consumers {
    let entries =
        || parts.iter().flat_map(|(part, file)| part.entries.iter().map(move |entry| (entry, *file)));
    let at = |origin: Origin, file: Option<u32>| Origin { file: file.unwrap_or(origin.file), ..origin };
    let given = || entries().flat_map(|(entry, _)| &entry.credentials);
    let keys = given().filter(|given| given.kind == CredentialKind::ApiKey).count();
    let mut all = Consumers::with_room(entries().count(), keys, given().count() - keys);
    for (entry, file) in entries() {
        let name = &*entry.consumer.name;
        if !all.add(entry.consumer.clone()) {
            if !found.is_full() {
                let first = entries().find(|(first, _)| &*first.consumer.name == name);
                let message = format!("there are two consumers `{name}`");
                let finding = Diagnostic::error(at(entry.origin, file), message);
                found.push(first_here(finding, first.map(|(first, file)| at(first.origin, file))));
            }
            continue;
        }
        for given in &entry.credentials {
            let Err(holder) = all.give(name, given.kind, &given.value, given.secret.clone()) else {
                continue;
            };
            if found.is_full() {
                continue;
            }
            let same = |first: &&part::Given| first.kind == given.kind && first.value == given.value;
            let of_holder = entries().filter(|(first, _)| *first.consumer.name == *holder);
            let mut first = of_holder.flat_map(|(first, file)| {
                first.credentials.iter().filter(same).map(move |given| at(given.origin, file))
            });
            let message = format!("`{name}` and `{holder}` have the same {}", credentials::words(given.kind));
            let finding = Diagnostic::error(at(given.origin, file), message);
            found.push(first_here(finding, first.next()));
        }
    }
    all
}

fn first_here(finding: Diagnostic, first: Option<Origin>) -> Diagnostic {
    finding.note(first.unwrap_or(Origin::NOWHERE), "first here").mend("remove one of the two")
}

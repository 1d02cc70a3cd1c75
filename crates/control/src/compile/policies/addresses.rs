//! Lists of addresses, of the document and of files, which are followed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tollgate_config::{self as config, Diagnostic, FilePath, Files as _, Located};
use tollgate_policies::addresses::{self, AddressBlock, AddressSet, Addresses, Held, SetCell};
use tollgate_policy::Policy;

use super::{Compiler, made};
use crate::beside::{FromFiles, Reading, Refreshed};

/// Bytes of a file at most: room for as many lines as a list may have.
const LARGEST: u64 = 128 << 20;

impl Compiler<'_> {
    pub(super) fn addresses(&mut self, at: Located<&config::Addresses>) -> Option<Arc<dyn Policy>> {
        let lists = at.value;
        let allow = self.address_set(&lists.allow, &lists.allow_files);
        let deny = self.address_set(&lists.deny, &lists.deny_files);
        let settings = addresses::Settings { allow: allow?, deny: deny?, source: addresses::Source::Client };
        made(Addresses::new(settings))
    }

    /// The addresses of a list and of files, which are watched from now on; `None` after a finding, and `Some(None)`
    /// where there are none.
    fn address_set(
        &mut self,
        list: &config::Many<Located<config::Cidr>>,
        files: &config::Many<Located<FilePath>>,
    ) -> Option<Option<Held>> {
        if list.is_empty() && files.is_empty() {
            return Some(None);
        }
        let mut own = Vec::new();
        let errors = self.diagnostics.errors();
        for cidr in list.iter() {
            match AddressBlock::new(cidr.value.address(), cidr.value.prefix()) {
                Ok(block) => own.push(block),
                Err(bad) => self.diagnostics.push(Diagnostic::error(cidr.origin, bad.to_string())),
            }
        }
        let reading = Reading::default();
        let mut blocks = own.clone();
        for path in files.iter() {
            match read(path.value.path(), &reading) {
                Ok(more) => blocks.extend(more),
                Err(problem) => self.diagnostics.push(Diagnostic::error(path.origin, problem)),
            }
        }
        if self.diagnostics.errors() > errors {
            return None;
        }
        let set: Arc<AddressSet> = Arc::new(blocks.into_iter().collect());
        if files.is_empty() {
            return Some(Some(Held::Fixed(set)));
        }
        let cell = Arc::new(SetCell::new(set));
        let files = files.iter().map(|path| path.value.path().to_owned()).collect();
        let in_force = InForce { own, files, cell: Mutex::new(cell.clone()) };
        self.beside.watched.add(Arc::new(in_force), reading.seen());
        Some(Some(Held::Followed(cell)))
    }
}

/// The blocks of a file, or what is wrong with it.
fn read(path: &std::path::Path, reading: &Reading) -> Result<Vec<AddressBlock>, String> {
    let shown = path.display();
    let unreadable = |problem: String| format!("cannot read `{shown}`: {problem}");
    let bytes = reading.read(path, LARGEST).map_err(|error| unreadable(error.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| unreadable(error.to_string()))?;
    addresses::parse_list(text).map_err(|bad| format!("`{shown}`: {bad}"))
}

/// A list in force, which follows its files.
#[derive(Debug)]
struct InForce {
    /// What the document itself has.
    own: Vec<AddressBlock>,
    files: Vec<PathBuf>,
    /// Locked while the files are read: of two readings the later one counts.
    cell: Mutex<Arc<SetCell>>,
}

impl FromFiles for InForce {
    fn kind(&self) -> &'static str {
        "addresses"
    }

    /// One file that cannot be used keeps the whole list as it was: half a list would let in whom the rest names.
    fn refresh(&self) -> Refreshed {
        let cell = self.cell.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = Reading::default();
        let (mut blocks, mut problems) = (self.own.clone(), Vec::new());
        for path in &self.files {
            match read(path, &reading) {
                Ok(more) => blocks.extend(more),
                Err(problem) => {
                    let first = problem.lines().next().unwrap_or_default();
                    problems.push(format!("{first}; what was there before stays in force"));
                }
            }
        }
        let set: AddressSet = blocks.into_iter().collect();
        let taken = (problems.is_empty() && set != *cell.get()).then(|| {
            let count = set.len();
            cell.set(Arc::new(set));
            format!("files of addresses have changed: {count} ranges are in force")
        });
        Refreshed { taken, problems, seen: reading.seen() }
    }
}

//! Everything that stands in a registry's folder has its row.

use super::Places;
use crate::tidy::{Code, Kind, Project};

/// A folder whose files are the entries of a registry.
struct Registry {
    folder: &'static str,
    /// The file with the rows.
    rows: &'static str,
    entry: Entry,
}

/// What makes a file an entry, and what its row names.
enum Entry {
    /// It implements this trait; the row names the type that does.
    Implements(&'static str),
    /// Every file is one; the row names a function of it, as `file::run`.
    Runs,
    /// Every file is one; the rows name what they need of it, as `file::…`.
    IsNamed,
}

const REGISTRIES: &[Registry] = &[
    Registry {
        folder: "crates/upstream/src/balancers/",
        rows: "crates/upstream/src/balancers.rs",
        entry: Entry::Implements("Balancer"),
    },
    Registry {
        folder: "crates/upstream/src/probes/",
        rows: "crates/upstream/src/probes.rs",
        entry: Entry::Implements("Probe"),
    },
    Registry { folder: "crates/app/src/commands/", rows: "crates/app/src/commands.rs", entry: Entry::Runs },
    Registry {
        folder: "crates/admin/src/resources/",
        rows: "crates/admin/src/resources.rs",
        entry: Entry::IsNamed,
    },
    Registry { folder: "xtask/src/commands/", rows: "xtask/src/commands.rs", entry: Entry::Runs },
];

/// Entries without a row, and registries without entries.
pub(crate) fn check(project: &Project) -> Result<Places, String> {
    let mut found = Places::new();
    for registry in REGISTRIES {
        let rows = project.sources.iter().find(|source| source.path == registry.rows);
        let rows = rows.ok_or_else(|| format!("the registry {} is gone", registry.rows))?;
        let rows = Code::of(&rows.text);
        let entries = project.sources.iter().filter(|source| {
            let name = source.path.strip_prefix(registry.folder);
            !source.is_test && name.is_some_and(|name| !name.contains('/'))
        });
        let mut count = 0;
        for source in entries {
            let wanted = wanted(&registry.entry, &source.path, &Code::of(&source.text));
            count += wanted.len();
            for (row, _) in wanted.into_iter().filter(|(_, row)| !has_row(&rows, row)) {
                let message = format!("`{row}` has no row in {}", registry.rows);
                found.push((source.path.clone(), 0, message));
            }
        }
        if count == 0 {
            return Err(format!("the registry {} has no entries", registry.rows));
        }
    }
    Ok(found)
}

/// What the file's row must hold: for people, and as tokens.
fn wanted<'t>(entry: &Entry, path: &'t str, code: &Code<'t>) -> Vec<(String, Vec<&'t str>)> {
    let file = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
    match entry {
        Entry::Runs => vec![(format!("{file}::run"), vec![file, ":", ":", "run"])],
        Entry::IsNamed => vec![(format!("{file}::…"), vec![file, ":", ":"])],
        Entry::Implements(name) => code
            .places(&["impl", name, "for"])
            .filter_map(|at| code.tokens.get(at + 3).filter(|token| token.kind == Kind::Word))
            .map(|token| (token.text.to_owned(), vec![token.text]))
            .collect(),
    }
}

/// Whether the tokens stand somewhere but in a `use`.
fn has_row(rows: &Code<'_>, wanted: &[&str]) -> bool {
    rows.places(wanted).any(|at| {
        let mut before = rows.tokens[..at].iter().rev().take_while(|token| !token.is(";"));
        !before.any(|token| token.is("use"))
    })
}

#[cfg(test)]
mod tests {
    use super::{Entry, has_row, wanted};
    use crate::tidy::Code;

    #[test]
    fn an_import_is_no_row() {
        assert!(has_row(&Code::of("use a::B; const C: D = &[E { make: || Box::new(a::B) }];"), &["B"]));
        assert!(!has_row(&Code::of("pub use a::B; const C: D = &[];"), &["B"]));
        assert!(!has_row(&Code::of("pub use a::{\n X, B\n};"), &["B"]));
        assert!(!has_row(&Code::of("mod tests; #[cfg(test)] mod t { fn f() { B } }"), &["B"]));
    }

    #[test]
    fn entries_are_files_or_implementations() {
        let rows = |entry, text| wanted(&entry, "a/b/check.rs", &Code::of(text));
        assert_eq!(rows(Entry::Runs, "")[0].0, "check::run");
        assert_eq!(rows(Entry::Implements("T"), "impl T for A {} impl U for B {}")[0].0, "A");
        assert!(rows(Entry::Implements("T"), "fn f() {}").is_empty());
    }
}

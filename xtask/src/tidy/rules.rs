//! The rules, a file for each concern, and a row here for each rule.

mod layers;
mod leftovers;
mod links;
mod names;
mod panics;
mod places;
mod registries;
mod seams;
mod sizes;
mod words;

use super::Project;

/// Places that break a rule: file, line (0 for the whole file), and what is wrong.
pub(crate) type Places = Vec<(String, usize, String)>;

/// One rule.
pub(crate) struct Rule {
    /// Its name in findings and in the list of exceptions.
    pub(crate) name: &'static str,
    /// Finds what breaks it. An error means that it could not be checked.
    pub(crate) check: fn(&Project) -> Result<Places, String>,
}

/// All rules.
pub(crate) const ALL: &[Rule] = &[
    Rule { name: "layers", check: layers::check },
    Rule { name: "file-size", check: sizes::files },
    Rule { name: "function-size", check: sizes::functions },
    Rule { name: "struct-size", check: sizes::structs },
    Rule { name: "names", check: names::check },
    Rule { name: "seams", check: seams::check },
    Rule { name: "panics", check: panics::check },
    Rule { name: "leftovers", check: leftovers::check },
    Rule { name: "registries", check: registries::check },
    Rule { name: "places", check: places::check },
    Rule { name: "words", check: words::check },
    Rule { name: "links", check: links::check },
];

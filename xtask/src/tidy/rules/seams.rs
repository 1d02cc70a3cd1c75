//! No clock and no randomness outside `runtime`: deciding stays a function of its arguments.

use super::Places;
use crate::tidy::{Code, Project};

/// What asks the machine for the time or for randomness, as it is written.
const ASKS: &[&[&str]] = &[
    &["Instant", ":", ":", "now"],
    &["SystemTime", ":", ":", "now"],
    &[".", "elapsed", "("],
    &["UNIX_EPOCH"],
    &["RandomState"],
    &["rand", ":", ":"],
    &["fastrand", ":", ":"],
    &["getrandom", ":", ":"],
    &["thread_rng"],
    &["clock_gettime"],
];

/// Places in the product, tests aside, that ask the machine.
pub(crate) fn check(project: &Project) -> Result<Places, String> {
    let mut found = Places::new();
    for source in project.product().filter(|source| !source.path.starts_with("crates/runtime/")) {
        let code = Code::of(&source.text);
        for ask in ASKS {
            let message =
                format!("`{}`: take time and randomness as arguments, from `runtime`", ask.concat());
            let lines = code.places(ask).map(|at| code.tokens[at].line);
            found.extend(lines.map(|line| (source.path.clone(), line, message.clone())));
        }
    }
    Ok(found)
}

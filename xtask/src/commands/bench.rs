//! `cargo xtask bench`: builds the release binaries and runs the side-by-side benchmark.

use crate::{cargo, say};
use std::process::ExitCode;

const PROGRAM: &str = "tollgate-bench";

/// The verbs of the benchmark's binary; anything else is an argument for its `run`.
const VERBS: &[&str] =
    &["run", "load", "alternate", "origin", "collector", "floor", "compile", "picks", "help"];

/// Builds what is measured and what measures, then hands the arguments on.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let mut packages = vec![PROGRAM];
    if cargo::has_package("tollgate")? {
        packages.push("tollgate");
    } else {
        say("the workspace has no package `tollgate`: its rows stay empty unless --tollgate names a binary");
    }
    cargo::build_release(&packages)?;
    cargo::pass_through(&cargo::release_folder().join(PROGRAM), &with_verb(args))
}

fn with_verb(args: &[String]) -> Vec<String> {
    let named = args.first().is_some_and(|first| VERBS.contains(&first.as_str()));
    let verb = if named { None } else { Some("run".to_owned()) };
    verb.into_iter().chain(args.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::with_verb;

    #[test]
    fn run_is_the_verb_when_none_is_named() {
        let args = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(with_verb(&args(&[])), args(&["run"]));
        assert_eq!(with_verb(&args(&["--rounds", "1"])), args(&["run", "--rounds", "1"]));
        assert_eq!(with_verb(&args(&["compile"])), args(&["compile"]));
    }
}

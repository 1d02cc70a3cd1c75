//! The verbs: a file each, and a row here.

mod bench;
mod ci;
mod test;
mod tidy;

use std::process::ExitCode;

/// One verb of `cargo xtask`.
pub(crate) struct Command {
    /// What one types.
    pub(crate) name: &'static str,
    /// One line for the overview.
    pub(crate) about: &'static str,
    /// Does it with the arguments behind the verb. The code is passed on to the shell; a message means
    /// that the work could not be done at all.
    pub(crate) run: fn(&[String]) -> Result<ExitCode, String>,
}

/// All verbs in the order of the overview.
pub(crate) const ALL: &[Command] = &[
    Command {
        name: "test",
        about: "builds what the tests need and runs all tests; arguments go to `cargo test`",
        run: test::run,
    },
    Command {
        name: "ci",
        about: "all that must hold before a change goes in: format, tidy, clippy, build, tests, docs",
        run: ci::run,
    },
    Command {
        name: "tidy",
        about: "the rules that the compiler does not check: layers, sizes, names, seams, links",
        run: tidy::run,
    },
    Command {
        name: "bench",
        about: "measures Tollgate beside HAProxy and nginx; `bench --help` lists the options",
        run: bench::run,
    },
];

/// The verb of this name.
pub(crate) fn find(name: &str) -> Option<&'static Command> {
    ALL.iter().find(|command| command.name == name)
}

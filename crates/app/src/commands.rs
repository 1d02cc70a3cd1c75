//! The verbs, a file each.

mod apply;
mod check;
mod config;
mod confirm;
mod credential;
mod demo;
mod diff;
mod endpoint;
mod events;
mod explain;
mod handover;
mod history;
mod logs;
mod mirrors;
mod proxy;
mod reference;
mod reload;
mod rollback;
mod run;
mod schema;
mod simulate;
mod status;
mod top;
mod version;
mod why;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a document, in the foreground
    Run(run::Arguments),
    /// Forward an address to others, without a document
    Proxy(proxy::Arguments),
    /// Start a small shop of three services with Tollgate before them, to try things on
    Demo(demo::Arguments),
    /// Check a document and tell all that is wrong with it, without serving it
    #[command(alias = "validate")]
    Check(check::Arguments),
    /// Look into a document
    #[command(subcommand)]
    Config(config::Command),
    /// Tell how a made-up request would be decided
    Explain(explain::Arguments),
    /// Tell what an upstream would do under a made-up traffic, without serving any
    Simulate(simulate::Arguments),
    /// Tell why a past exchange of the running instance ended as it did
    Why(why::Arguments),
    /// Show exchanges of the running instance as they end
    Logs(logs::Arguments),
    /// Tell what the running instance does, and how it does
    Status(status::Arguments),
    /// Show what happens in the running instance now
    Top(top::Arguments),
    /// Tell what a document would change, and what would become of recorded requests
    Diff(diff::Arguments),
    /// Have the running instance read its document again
    Reload(reload::Arguments),
    /// Put another process, usually of a newer binary, in the place of the running one, without losing a request
    Handover(handover::Arguments),
    /// Put a document from here into force in the running instance, for good or on trial
    Apply(apply::Arguments),
    /// Keep the document that is on trial
    Confirm(confirm::Arguments),
    /// Put an earlier document into force again
    Rollback(rollback::Arguments),
    /// List the documents that were in force lately
    History(history::Arguments),
    /// Tell what mirrors get, and how their answers differ from those that clients get
    Mirrors(mirrors::Arguments),
    /// Take endpoints of the running instance out of rotation and back
    Endpoint(endpoint::Arguments),
    /// Tell what became of the endpoints' health: ejections, probes that failed or passed
    Events(events::Arguments),
    /// Make credentials of consumers, and what the document keeps of them
    #[command(subcommand)]
    Credential(credential::Command),
    /// Print the JSON Schema of the document
    Schema,
    /// Print the reference of the document, in Markdown
    Reference,
    /// Print the version
    Version(version::Arguments),
}

/// Does it.
pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Proxy(arguments) => proxy::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Config(command) => config::run(&command),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Why(arguments) => why::run(&arguments),
        Command::Logs(arguments) => logs::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Reload(arguments) => reload::run(&arguments),
        Command::Handover(arguments) => handover::run(&arguments),
        Command::Apply(arguments) => apply::run(&arguments),
        Command::Confirm(arguments) => confirm::run(&arguments),
        Command::Rollback(arguments) => rollback::run(&arguments),
        Command::History(arguments) => history::run(&arguments),
        Command::Mirrors(arguments) => mirrors::run(&arguments),
        Command::Endpoint(arguments) => endpoint::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Credential(command) => credential::run(&command),
        Command::Schema => schema::run(),
        Command::Reference => reference::run(),
        Command::Version(arguments) => version::run(&arguments),
    }
}

/// Writes a verb's result. A reader that has gone away (`| head`) is not an error.
pub fn print(text: &str) -> Result<ExitCode> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

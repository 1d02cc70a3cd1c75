//! The project's own chores, run as `cargo xtask VERB`. One small dependency, so that it builds in a moment.

mod cargo;
mod commands;
mod tidy;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let verb = args.next();
    match verb.as_deref().and_then(commands::find) {
        Some(command) => match (command.run)(&args.collect::<Vec<_>>()) {
            Ok(code) => code,
            Err(message) => {
                say(&format!("cargo xtask {}: {message}", command.name));
                ExitCode::FAILURE
            }
        },
        None => {
            let asked_for_help = matches!(verb.as_deref(), None | Some("help" | "--help" | "-h"));
            say(&overview(verb.as_deref().filter(|_| !asked_for_help)));
            if asked_for_help { ExitCode::SUCCESS } else { ExitCode::from(2) }
        }
    }
}

/// The list of verbs, after a complaint about an unknown one.
fn overview(unknown: Option<&str>) -> String {
    let mut text = unknown.map_or_else(String::new, |verb| format!("there is no verb `{verb}`\n\n"));
    text.push_str("usage: cargo xtask VERB [ARGUMENTS]\n");
    for command in commands::ALL {
        text.push_str(&format!("\n  {:<10} {}", command.name, command.about));
    }
    text
}

/// Writes a line for the person at the terminal. A closed stderr is no reason to fail.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

//! The `tollgate` program: verbs, start-up, signals. The only place that knows exit codes.

mod admin;
mod change;
mod client;
mod commands;
mod demo;
mod documents;
mod exit;
mod handover;
mod overview;
mod serving;
mod terminal;
mod top;

use std::process::ExitCode;

use clap::Parser;

/// The allocator: the C library's costs a few per cent more where exchanges allocate.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A load balancer and API gateway that can always tell why.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    match commands::run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tollgate: {error:#}");
            if error.is::<client::Unreachable>() { exit::UNREACHABLE.into() } else { exit::FAILED.into() }
        }
    }
}

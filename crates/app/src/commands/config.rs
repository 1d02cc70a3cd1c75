//! `tollgate config`: what a document says once it is put together.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use tollgate_admin::resources::config::Shown;
use tollgate_config::effective;

use crate::client::Reach;
use crate::{documents, exit};

/// What to look at.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print the document in effect: includes, variables and defaults put in, secrets hidden
    Show(Show),
}

/// How to show it.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The document; else ./tollgate.yaml, else /etc/tollgate/tollgate.yaml
    #[arg(short, long, value_name = "FILE", env = "TOLLGATE_CONFIG", conflicts_with = "running")]
    config: Option<PathBuf>,
    /// The document that the running instance has in force
    #[arg(long)]
    running: bool,
    #[command(flatten)]
    reach: Reach,
    /// Say beside each value which file and line, variable or default it is from
    #[arg(long)]
    origin: bool,
    /// Only what differs from the defaults
    #[arg(long)]
    changed: bool,
    /// For programs: a list of path, value and origin
    #[arg(long)]
    json: bool,
}

/// Does it.
pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Show(arguments) => show(arguments),
    }
}

fn show(arguments: &Show) -> Result<ExitCode> {
    if arguments.running {
        let query = format!("origin={}&changed={}", arguments.origin, arguments.changed);
        let shown: Shown = arguments.reach.client()?.get(&format!("/api/v1/config?{query}"))?;
        let json = || format!("{:#}\n", shown.values);
        return super::print(&if arguments.json { json() } else { shown.yaml });
    }
    let path = documents::find(arguments.config.as_deref())?;
    let loaded = documents::load(&path);
    let Some(document) = &loaded.document else { return Ok(exit::INVALID_DOCUMENT.into()) };
    let effective = effective(document, &loaded.sources);
    if arguments.json {
        return super::print(&format!("{:#}\n", effective.to_json(arguments.changed)));
    }
    super::print(&effective.to_yaml(arguments.origin, arguments.changed))
}

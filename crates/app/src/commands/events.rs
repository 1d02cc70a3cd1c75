//! `tollgate events`: what became of the endpoints' health, and of the upstreams' circuits.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use tollgate_admin::resources::events::{Event, Events};

use crate::client::{Reach, path_with_query};

/// How often it is looked for new ones.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Which events.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only those of this upstream
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Only the newest so many
    #[arg(short = 'n', long, value_name = "NUMBER")]
    count: Option<usize>,
    /// Go on with those to come
    #[arg(long, short = 'f')]
    follow: bool,
    /// For programs, one a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Shows them, oldest first.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let client = arguments.reach.client()?;
    let (mut since, mut limit) = (0, arguments.count);
    loop {
        let (after, most) = (since.to_string(), limit.map(|limit| limit.to_string()));
        let pairs = [
            ("since", Some(after.as_str())),
            ("limit", most.as_deref()),
            ("upstream", arguments.upstream.as_deref()),
        ];
        let given = pairs.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let told: Events = client.get(&path_with_query("/api/v1/events", given))?;
        for event in &told.events {
            if !write(event, arguments.json)? {
                return Ok(ExitCode::SUCCESS);
            }
        }
        if !arguments.follow {
            return Ok(ExitCode::SUCCESS);
        }
        (since, limit) = (told.latest, None);
        std::thread::sleep(FOLLOW_EVERY);
    }
}

/// Writes one at once. Whether anybody still reads.
fn write(event: &Event, json: bool) -> Result<bool> {
    let line = if json { serde_json::to_string(event)? } else { event.to_string() };
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

//! `tollgate logs`: exchanges of the running instance as they end.

use std::io::{ErrorKind, IsTerminal, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Result;
use tollgate_admin::report::LogLine;
use tollgate_admin::resources::LOGS;

use crate::client::{Reach, path_with_query};
use crate::terminal;

/// Which exchanges. An option that is given more than once means any of its values.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only those that end for this reason
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Only those of this route
    #[arg(long, value_name = "NAME")]
    route: Vec<String>,
    /// Only those of this upstream
    #[arg(long, value_name = "NAME")]
    upstream: Vec<String>,
    /// Only those with this status, such as 404, 5xx, 400-499
    #[arg(long, value_name = "STATUS")]
    status: Vec<String>,
    /// Only those where this side is at fault: client, upstream, proxy, nobody
    #[arg(long, value_name = "SIDE")]
    side: Vec<String>,
    /// Only those for this path or one below it
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,
    /// Only those that took so long or longer, such as 250ms
    #[arg(long, value_name = "DURATION")]
    slow: Option<String>,
    /// End after so many
    #[arg(short = 'n', long, value_name = "NUMBER")]
    count: Option<u64>,
    /// For programs; so also where the output is no terminal
    #[arg(long, conflicts_with = "pretty")]
    json: bool,
    /// For people, also where the output is no terminal
    #[arg(long)]
    pretty: bool,
    #[command(flatten)]
    reach: Reach,
}

impl Arguments {
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = [
            ("reason", &self.reason[..]),
            ("route", &self.route),
            ("upstream", &self.upstream),
            ("status", &self.status),
            ("side", &self.side),
            ("path", &self.path),
            ("slow", self.slow.as_slice()),
        ];
        all.into_iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value.as_str())))
    }
}

/// Shows them until there were enough, the process ends, or nobody reads any more.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let client = arguments.reach.client()?;
    let pretty = arguments.pretty || (!arguments.json && std::io::stdout().is_terminal());
    let colours = terminal::colours();
    let mut left = arguments.count.unwrap_or(u64::MAX);
    if left == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    client.lines(&path_with_query(LOGS, arguments.pairs()), |line| {
        // What this version does not understand is passed on as it is.
        let told = match serde_json::from_str(line) {
            Ok(LogLine::Dropped { dropped }) if pretty => {
                eprintln!("tollgate: {dropped} are not shown, since this did not keep up");
                return Ok(ControlFlow::Continue(()));
            }
            Ok(LogLine::Exchange(exchange)) if pretty => {
                left -= 1;
                exchange.pretty(colours)
            }
            Ok(LogLine::Dropped { .. }) | Err(_) => format!("{line}\n"),
            Ok(LogLine::Exchange(_)) => {
                left -= 1;
                format!("{line}\n")
            }
        };
        let going = write(&told)?;
        Ok(if left == 0 { ControlFlow::Break(()) } else { going })
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a line at once. That nobody reads any more (`| head`) is the end and no error.
fn write(line: &str) -> Result<ControlFlow<()>> {
    let mut out = std::io::stdout().lock();
    match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(error.into()),
    }
}

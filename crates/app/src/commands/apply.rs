//! `tollgate apply`: a document from here for the running instance, for good or on trial.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use tollgate_admin::resources::config::AppliedStatus;
use tollgate_admin::resources::trial::{RouteTrial, TrialStatus};

use crate::change;
use crate::client::{Client, Reach};
use crate::exit;
use crate::terminal::figures;

/// How often a trial is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What to apply.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document; what it includes is sent with it
    file: PathBuf,
    /// Put it to work on trial for so long, such as 60s: it is taken back if exchanges fare worse than before,
    /// or if nobody confirms it (with Enter here, or `tollgate confirm` anywhere)
    #[arg(long, value_name = "DURATION")]
    confirm: Option<tollgate_config::Duration>,
    #[command(flatten)]
    reach: Reach,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Does it.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let client = arguments.reach.client()?;
    let mut document = change::read(&arguments.file)?;
    document.confirm_seconds = arguments.confirm.map(|time| time.get().as_secs().max(1));
    if document.confirm_seconds.is_some() && !arguments.json {
        eprintln!("watching exchanges for a moment, to know what is usual");
    }
    let answer = client.post_or_refused::<AppliedStatus>("/api/v1/config/apply", Some(&document))?;
    let number = answer.as_ref().ok().filter(|applied| !applied.unchanged).map(|applied| applied.number);
    let on_trial = document.confirm_seconds.and(number);
    let code = change::tell(answer, arguments.json && on_trial.is_none())?;
    match on_trial {
        Some(_) => follow(&client, arguments.json),
        None => Ok(code),
    }
}

/// Shows the trial until it is over.
fn follow(client: &Client, json: bool) -> Result<ExitCode> {
    let asks = std::io::stdin().is_terminal() && !json;
    let entered = asks.then(enter_pressed);
    loop {
        let trial: TrialStatus = client.get("/api/v1/config/trial")?;
        if trial.state != "running" {
            return tell_end(&trial, json);
        }
        if !json {
            tell_progress(&trial, asks);
        }
        let confirmed = entered.as_ref().is_some_and(|entered| entered.recv_timeout(LOOK).is_ok());
        if confirmed {
            client.post::<TrialStatus>("/api/v1/config/trial/confirm", None::<&()>)?;
        } else if entered.is_none() {
            std::thread::sleep(LOOK);
        }
    }
}

fn enter_pressed() -> std::sync::mpsc::Receiver<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        // At the end of the input nobody confirms anything.
        if std::io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
            let _ = sender.send(());
        }
    });
    receiver
}

fn tell_progress(trial: &TrialStatus, asks: bool) {
    let busiest: Vec<String> = trial.routes.iter().take(3).map(route_line).collect();
    let hint = if asks { ", Enter keeps the document" } else { "" };
    let mut out = std::io::stderr().lock();
    let line = format!("{:.0}s left{hint}: {}", trial.seconds_left, busiest.join("; "));
    // Progress is worth no failure.
    let _ =
        if std::io::stderr().is_terminal() { write!(out, "\r\x1b[K{line}") } else { writeln!(out, "{line}") };
    let _ = out.flush();
}

fn route_line(route: &RouteTrial) -> String {
    let failed = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0));
    let p99 = |us: Option<u64>| us.map_or("-".to_owned(), |us| figures::latency(us as f64));
    format!(
        "{} {} exchanges, {} failed (before {}), p99 {} (before {})",
        route.route,
        figures::count(route.since.exchanges),
        failed(route.since.failed_share),
        failed(route.before.failed_share),
        p99(route.since.p99_us),
        p99(route.before.p99_us),
    )
}

fn tell_end(trial: &TrialStatus, json: bool) -> Result<ExitCode> {
    if std::io::stderr().is_terminal() && !json {
        eprintln!();
    }
    let kept = trial.state == "confirmed";
    if json {
        super::print(&format!("{:#}\n", serde_json::to_value(trial).context("cannot write the answer")?))?;
    } else if kept {
        super::print(&format!("document {} is confirmed\n", trial.number))?;
    } else {
        let reason = trial.reason.as_deref().unwrap_or("nobody confirmed it");
        eprintln!("tollgate: document {} was taken back to {}: {reason}", trial.number, trial.back_to);
    }
    Ok(if kept { ExitCode::SUCCESS } else { exit::FAILED.into() })
}

//! `tollgate apply`: a document from here for the running instance, for good or on trial.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tollgate_admin::resources::config::AppliedStatus;
use tollgate_admin::resources::trial::{RouteTrial, TrialStatus};

use crate::change;
use crate::client::{Client, Reach};
use crate::exit;
use crate::terminal::figures;

/// How often a trial is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Which of the looks are told of where that is no terminal.
const TOLD_EACH: u32 = 20;

/// What to apply.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document; what it includes is sent with it
    file: PathBuf,
    /// Put it to work on trial for so long, such as 60s: it is taken back if exchanges fare worse than before,
    /// or if nobody confirms it (with Enter here, or `tollgate confirm` anywhere)
    #[arg(long, value_name = "DURATION")]
    confirm: Option<tollgate_config::Duration>,
    /// With --confirm, watch exchanges for so long before, to know what is usual
    #[arg(long, value_name = "DURATION", requires = "confirm", default_value = "5s")]
    baseline: tollgate_config::Duration,
    #[command(flatten)]
    reach: Reach,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Does it.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut client = arguments.reach.client()?;
    let mut document = change::read(&arguments.file)?;
    if let Some(time) = arguments.confirm {
        let baseline = arguments.baseline.get();
        document.confirm_seconds = Some(whole_seconds(time.get()));
        document.baseline_seconds = Some(whole_seconds(baseline));
        client = client.waiting_longer(baseline);
        if !baseline.is_zero() && !arguments.json {
            eprintln!("watching exchanges for {}s, to know what is usual", whole_seconds(baseline));
        }
    }
    let answer = client.post_or_refused::<AppliedStatus>("/api/v1/config/apply", Some(&document))?;
    let number = answer.as_ref().ok().filter(|applied| !applied.unchanged).map(|applied| applied.number);
    let on_trial = document.confirm_seconds.and(number);
    // For programs there is one answer: how the trial ended.
    let code = match arguments.json && on_trial.is_some() {
        true => ExitCode::SUCCESS,
        false => change::tell(answer, arguments.json)?,
    };
    match on_trial {
        Some(number) => follow(&client, number, arguments.json),
        None => Ok(code),
    }
}

/// The API's trials have whole seconds; what is begun counts.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Shows the trial of the document of this number until it is over.
fn follow(client: &Client, number: u64, json: bool) -> Result<ExitCode> {
    let mut entered = (std::io::stdin().is_terminal() && !json).then(enter_pressed);
    let tell_each = if std::io::stderr().is_terminal() { 1 } else { TOLD_EACH };
    for look in 0_u32.. {
        let trial: TrialStatus = client.get("/api/v1/config/trial")?;
        if trial.number != number {
            bail!(
                "document {} is on trial by now; `tollgate history` tells what became of {number}",
                trial.number
            );
        }
        if !trial.goes_on() {
            return tell_end(&trial, json);
        }
        if !json && look.is_multiple_of(tell_each) {
            tell_progress(&trial, entered.is_some());
        }
        let Some(receiver) = &entered else {
            std::thread::sleep(LOOK);
            continue;
        };
        match receiver.recv_timeout(LOOK) {
            // Where it came too late, the next look tells.
            Ok(()) => drop(client.post::<TrialStatus>("/api/v1/config/trial/confirm", None::<&()>)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => entered = None,
        }
    }
    bail!("the trial does not end")
}

fn enter_pressed() -> Receiver<()> {
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
    let busiest = if busiest.is_empty() { vec!["no requests yet".to_owned()] } else { busiest };
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
        let (number, back_to) = (trial.number, trial.back_to);
        let reason = trial.reason.as_deref().unwrap_or_default();
        match trial.state.as_str() {
            "stays" => eprintln!(
                "tollgate: document {number} should have been taken back, but is in force: {reason}"
            ),
            _ => eprintln!("tollgate: document {number} was taken back, {back_to} runs again: {reason}"),
        }
    }
    Ok(if kept { ExitCode::SUCCESS } else { exit::FAILED.into() })
}

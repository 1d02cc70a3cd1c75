//! `cargo xtask ci`: all that must hold before a change goes in, step by step, the quick ones first.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::{cargo, say};

/// One step.
struct Step {
    name: &'static str,
    /// Arguments for cargo.
    cargo: &'static [&'static str],
    /// Set for this step only.
    environment: &'static [(&'static str, &'static str)],
}

impl Step {
    const fn new(name: &'static str, cargo: &'static [&'static str]) -> Self {
        Self { name, cargo, environment: &[] }
    }

    /// What to type to run this step alone.
    fn to_reproduce(&self) -> String {
        let variables = self.environment.iter().map(|(name, value)| format!("{name}='{value}' "));
        format!("{}cargo {}", variables.collect::<String>(), self.cargo.join(" "))
    }
}

/// All steps. The golden files are tests; so are the examples and the seeds of the fuzz targets.
const STEPS: &[Step] = &[
    Step::new("format", &["fmt", "--all", "--check"]),
    Step::new("tidy", &["xtask", "tidy"]),
    Step::new("clippy", &["clippy", "--workspace", "--locked", "--all-targets", "--", "--deny", "warnings"]),
    Step::new("build", &["build", "--workspace", "--locked", "--bins"]),
    Step::new("test", &["test", "--workspace", "--locked"]),
    Step {
        name: "docs",
        cargo: &["doc", "--workspace", "--locked", "--no-deps", "--document-private-items"],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
    },
];

/// Runs the steps until one fails.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    if !args.is_empty() {
        return Err("ci takes no arguments".into());
    }
    let mut times = Vec::new();
    for step in STEPS {
        say(&format!("ci: {}: {}", step.name, step.to_reproduce()));
        let start = Instant::now();
        let status = cargo::step_with(step.cargo, step.environment)?;
        times.push((step.name, start.elapsed()));
        if !status.success() {
            say(&summary(&times));
            say(&format!("ci: `{}` failed; to reproduce: {}", step.name, step.to_reproduce()));
            return Ok(ExitCode::FAILURE);
        }
    }
    say(&summary(&times));
    say("ci: everything holds");
    Ok(ExitCode::SUCCESS)
}

/// How long each step took.
fn summary(times: &[(&str, Duration)]) -> String {
    let all: Duration = times.iter().map(|(_, time)| *time).sum();
    let rows = times.iter().copied().chain([("in all", all)]);
    rows.map(|(name, time)| format!("ci: {name:<8} {:>7.1} s", time.as_secs_f64()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::STEPS;

    #[test]
    fn a_failed_step_says_how_to_run_it_again() {
        let docs = STEPS.iter().find(|step| step.name == "docs").map(super::Step::to_reproduce);
        assert!(docs.is_some_and(|text| text.starts_with("RUSTDOCFLAGS='-D warnings' cargo doc ")));
    }
}

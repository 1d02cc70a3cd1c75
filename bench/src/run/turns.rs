//! Two programs on one core, loaded in turns: for differences smaller than what a shared machine does to
//! measurements that are seconds apart.

use super::cell::{SLACK, Started, path};
use super::child::Child;
use super::plan::Pair;
use super::programs::Programs;
use super::results::Spread;
use super::scenarios::gate;
use super::{Behind, Options};
use crate::load::Alternation;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::process::{Command, Stdio};

/// What came of a pair in one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Comparison {
    /// CPU time per request of one turn of the claimed cell to that of the turn next to it.
    pub(crate) ratio: Spread,
    /// The medians of both, in microseconds.
    pub(crate) cpu_us: [f64; 2],
    /// The part of it in user mode.
    pub(crate) user_us: [f64; 2],
}

/// Starts both programs, both on the proxy's core, and compares them.
pub(crate) fn measure(
    pair: Pair,
    programs: &Programs,
    behind: &Behind,
    options: &Options,
) -> Result<Comparison> {
    let cells = [pair.against, pair.of];
    let [against, of] = cells.map(|cell| Started::new(cell, programs, behind, options));
    let (against, of) = (against?, of?);
    let paths = cells.map(|cell| path(cell.shape));
    // Only one of two that are compared may have routes, or both as many.
    let routes = cells.iter().filter_map(|cell| cell.shape.routes()).max().unwrap_or(1);
    let seconds = options.seconds * 2.0 / f64::from(options.turns);
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("alternate").arg(against.address.to_string()).stdout(Stdio::piped());
    command.args(["--path", &paths[0], "--other-path", &paths[1], "--routes", &routes.to_string()]);
    // Both get the same requests; what the fields are for is looked at by one of them only.
    command.args(gate::arguments(pair.of.shape, &behind.credentials)?);
    command.args(["--body", &pair.of.shape.body().to_string()]);
    command.args(["--connections", &options.connections.to_string()]);
    command.args(["--warm-up", &options.warm_up.to_string(), "--seconds", &seconds.to_string()]);
    command.args(["--account", &against.child.id().to_string()]);
    command.args(["--other", &of.address.to_string(), "--other-account", &of.child.id().to_string()]);
    command.args(["--turns", &options.turns.to_string()]);
    let load = Child::start(command, &of.directory.path().join("load.log"))?;
    let patience = options.warm_up() * 2 + options.window() * 4 + SLACK;
    let outcome: Alternation = serde_json::from_str(&load.output(patience)?)?;
    of.ensure_logged(pair.of.shape, outcome.sides[1].requests)?;
    compare(&outcome)
}

fn compare(outcome: &Alternation) -> Result<Comparison> {
    ensure!(outcome.errors.total() == 0, "errors: {}", outcome.errors);
    let [against, of] = &outcome.sides;
    let ratios = of.cpu_us.iter().zip(&against.cpu_us).map(|(of, against)| of / against).collect();
    let ratio = Spread::of(ratios).filter(|ratio| ratio.high.is_finite()).context("nothing was measured")?;
    let cpu_us = [of, against].map(|side| Spread::of(side.cpu_us.clone()).map_or(0.0, |cpu| cpu.median));
    Ok(Comparison { ratio, cpu_us, user_us: [cpu_us[0] * of.user_share, cpu_us[1] * against.user_share] })
}

#[cfg(test)]
mod tests {
    use super::compare;
    use crate::load::{Alternation, Errors, Fault, Side};

    #[test]
    fn turns_next_to_each_other_are_compared() {
        // The machine was half as fast in the second turns.
        let side = |cpu_us: [f64; 3]| Side { requests: 9, cpu_us: cpu_us.to_vec(), user_share: 0.5 };
        let sides = [side([10.0, 20.0, 10.0]), side([11.0, 22.0, 12.0])];
        let compared = compare(&Alternation { sides: sides.clone(), errors: Errors::default() });
        let compared = compared.expect("is valid");
        assert!((compared.ratio.median - 1.1).abs() < 1e-9, "{compared:?}");
        assert_eq!((compared.cpu_us, compared.user_us), ([12.0, 10.0], [6.0, 5.0]));
        let mut errors = Errors::default();
        errors.count(&Fault::Late);
        assert!(compare(&Alternation { sides, errors }).is_err());
        assert!(compare(&Alternation::default()).is_err());
    }
}

//! Two servers under the same load in turns, a fraction of a second each: what disturbs the machine
//! disturbs both, so that small differences in CPU time show.

use super::engine::Engine;
use super::{Errors, Settings};
use crate::sys::accounting::CpuSample;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// How long open exchanges may take to end at the end of a turn.
const ENDING: Duration = Duration::from_secs(5);
/// What a server does behind its last exchange, such as writing its log, is done within this.
const SETTLING: Duration = Duration::from_millis(200);

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Alternation {
    /// The two servers.
    pub(crate) sides: [Side; 2],
    /// All faults.
    pub(crate) errors: Errors,
}

/// One of the servers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Side {
    /// Requests of all turns.
    pub(crate) requests: u64,
    /// CPU time per request of each turn, in microseconds.
    pub(crate) cpu_us: Vec<f64>,
    /// The part of the CPU time in user mode, 0 to 1.
    pub(crate) user_share: f64,
}

/// Loads both in turns, so many each of the length of their window; which one comes first changes each
/// time. A turn begins and ends without an exchange under way. What a server does between its turns
/// counts for the turn before.
pub(crate) fn alternate(settings: [&Settings; 2], turns: u32) -> Result<Alternation> {
    let mut sides = [Measured::new(settings[0])?, Measured::new(settings[1])?];
    for side in &mut sides {
        side.engine.open_all()?;
        side.engine.drive_until(Instant::now() + side.settings.warm_up)?;
        side.engine.pause(Instant::now() + ENDING)?;
    }
    for turn in 0..turns {
        let order = if turn % 2 == 0 { [0, 1] } else { [1, 0] };
        for index in order {
            sides[index].turn()?;
        }
    }
    std::thread::sleep(SETTLING);
    let [mut first, mut second] = sides;
    let mut errors = Errors::default();
    for side in [&mut first, &mut second] {
        errors.add(&side.engine.outcome(0.0).errors);
    }
    Ok(Alternation { sides: [first.finish()?, second.finish()?], errors })
}

struct Measured<'a> {
    settings: &'a Settings,
    engine: Engine<'a>,
    /// At the beginning of each turn: CPU time, and requests so far.
    books: Vec<(CpuSample, u64)>,
}

impl<'a> Measured<'a> {
    fn new(settings: &'a Settings) -> Result<Self> {
        Ok(Self { settings, engine: Engine::new(settings)?, books: Vec::new() })
    }

    fn turn(&mut self) -> Result<()> {
        self.note()?;
        self.engine.resume()?;
        self.engine.drive_until(Instant::now() + self.settings.window)?;
        self.engine.pause(Instant::now() + ENDING)
    }

    fn note(&mut self) -> Result<()> {
        let sample =
            super::sample(self.settings.account)?.context("each side needs a process to account for")?;
        self.books.push((sample, self.engine.completed_exchanges()));
        Ok(())
    }

    fn finish(mut self) -> Result<Side> {
        self.note()?;
        let (Some(first), Some(last)) = (self.books.first(), self.books.last()) else {
            return Ok(Side::default());
        };
        ensure!(first.0.processes == last.0.processes, "a process started or ended while measured");
        let cost = |pair: &[(CpuSample, u64)]| {
            let requests = pair[1].1.saturating_sub(pair[0].1);
            ensure!(requests > 0, "a turn without a single exchange");
            Ok(pair[1].0.total.saturating_sub(pair[0].0.total).as_secs_f64() * 1e6 / requests as f64)
        };
        Ok(Side {
            requests: last.1.saturating_sub(first.1),
            cpu_us: self.books.windows(2).map(cost).collect::<Result<_>>()?,
            user_share: last.0.user_share_since(&first.0),
        })
    }
}

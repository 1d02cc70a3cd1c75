//! Putting a document to work on trial.

use std::sync::Arc;
use std::time::Duration;

use tollgate_config::Bundle;
use tollgate_runtime::Clock;

use super::{Applied, Draft, Instance, Refused};
use crate::compile::Predecessor;
use crate::history::Occasion;
use crate::prepare::Text;
use crate::trial::{self, FiguresByRoute, LOOK, Trial, Verdict};

/// Until more exchanges of a route than this were seen, all since the process started tell what is usual.
const LATELY_MIN: u64 = 200;

/// How long things take on trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialTimes {
    /// After this the document is taken back unless it is confirmed.
    pub trial: Duration,
    /// For this long exchanges are watched before it is put into force, to know what is usual.
    pub baseline: Duration,
}

impl Instance {
    /// Puts a document into force on trial. It stays if [`Self::confirm`] is called in time, and goes if
    /// exchanges fare worse than before or nobody confirms it.
    ///
    /// # Errors
    ///
    /// As for [`Instance::reload`], and where another document is on trial or was put into force while
    /// exchanges were watched.
    pub async fn apply_on_trial(
        self: &Arc<Self>,
        bundle: Bundle,
        times: TrialTimes,
    ) -> Result<Applied, Refused> {
        let text = Text::Bundle(Arc::new(bundle));
        // What is wrong with the document is told before anybody waits.
        let known = self.process.snapshot().number;
        if let Some(result) = self.foreseen(text.clone()).await {
            self.conclude(&Occasion::Apply, &result);
            return result;
        }
        let before = Arc::new(self.baseline(times.baseline).await);
        let _turn = self.turn.lock().await;
        let back_to = self.process.snapshot().number;
        if back_to != known {
            let problem = format!("document {back_to} was put into force while exchanges were watched");
            return Err(Refused::conflict(problem));
        }
        let start = trial::figures(&self.process.current());
        let applied = self.change_in_turn(text, Occasion::Apply).await?;
        if applied.unchanged {
            return Ok(applied);
        }
        let trial = Trial {
            number: applied.number,
            back_to,
            until_ms: Clock::new().now_ms().saturating_add(milliseconds(times.trial)),
            verdict: Verdict::Running,
            before,
            since: FiguresByRoute::new(),
        };
        self.state().trial = Some(trial);
        tokio::spawn(self.clone().watch_trial(applied.number, start));
        Ok(applied)
    }

    /// The document on trial, or the last one that was.
    pub fn trial(&self) -> Option<Trial> {
        self.state().trial.clone()
    }

    /// When the document that is on trial now is taken back unless it is confirmed, in milliseconds since the
    /// process started.
    pub fn on_trial_until_ms(&self) -> Option<u64> {
        self.state().trial.as_ref().filter(|trial| !trial.verdict.is_final()).map(|trial| trial.until_ms)
    }

    /// Keeps the document that is on trial.
    ///
    /// # Errors
    ///
    /// Where none is.
    pub fn confirm(&self) -> Result<u64, Refused> {
        let number = match &mut self.state().trial {
            Some(trial) if trial.verdict == Verdict::Running => {
                trial.verdict = Verdict::Confirmed;
                trial.number
            }
            _ => return Err(Refused::conflict("no document is on trial")),
        };
        (self.surroundings.say)(&format!("document {number} is confirmed"));
        Ok(number)
    }

    /// A change has to wait for the end of a trial, unless it is a way to end it: going back.
    pub(super) fn yields_to(&self, occasion: &Occasion) -> Result<(), Refused> {
        let state = self.state();
        let Some(trial) = state.trial.as_ref().filter(|trial| !trial.verdict.is_final()) else {
            return Ok(());
        };
        match occasion {
            Occasion::TakenBack(_) if self.process.snapshot().number != trial.number => {
                Err(Refused::conflict("another document was put into force meanwhile"))
            }
            Occasion::TakenBack(_) | Occasion::Rollback(_) => Ok(()),
            Occasion::Start | Occasion::HandOver | Occasion::Reload | Occasion::Apply => {
                let number = trial.number;
                let problem = format!("document {number} is on trial; confirm it or roll it back first");
                Err(Refused::conflict(problem))
            }
        }
    }

    /// A trial ends when the operator goes back.
    pub(super) fn end_trial(&self) {
        let mut state = self.state();
        if let Some(trial) = state.trial.as_mut().filter(|trial| !trial.verdict.is_final()) {
            trial.verdict = Verdict::TakenBack("rolled back by the operator".to_owned());
        }
    }

    /// How an attempt to apply a document will end that can be told beforehand.
    async fn foreseen(&self, text: Text) -> Option<Result<Applied, Refused>> {
        if let Err(refused) = self.yields_to(&Occasion::Apply) {
            return Some(Err(refused));
        }
        match self.draft(text, None, Predecessor::looking).await {
            Err(refused) => Some(Err(refused)),
            Ok(Draft { unchanged, changes, warnings, .. }) => unchanged.then(|| {
                let number = self.process.snapshot().number;
                Ok(Applied { number, unchanged, changes, warnings })
            }),
        }
    }

    /// What is usual: what came in so long, or where that is little, all since the process started.
    async fn baseline(&self, time: Duration) -> FiguresByRoute {
        let earlier = trial::figures(&self.process.current());
        tokio::time::sleep(time).await;
        let all = trial::figures(&self.process.current());
        let mut lately = trial::between(&earlier, &all);
        for (name, figures) in all {
            let few = lately.get(&name).is_none_or(|lately| lately.exchanges < LATELY_MIN);
            if few {
                lately.insert(name, figures);
            }
        }
        lately
    }

    async fn watch_trial(self: Arc<Self>, number: u64, start: FiguresByRoute) {
        let running = |trial: &&mut Trial| trial.number == number && trial.verdict == Verdict::Running;
        for looks in 1_u32.. {
            let Some((before, left)) = self.state().trial.as_mut().filter(running).map(|trial| {
                let left = trial.until_ms.saturating_sub(Clock::new().now_ms());
                (trial.before.clone(), Duration::from_millis(left))
            }) else {
                return;
            };
            tokio::time::sleep(LOOK.min(left)).await;
            let since = trial::between(&start, &trial::figures(&self.process.current()));
            let worse = trial::worse(&before, &since, looks);
            let problem = {
                let mut state = self.state();
                let Some(trial) = state.trial.as_mut().filter(running) else { return };
                trial.since = since;
                let late = Clock::new().now_ms() >= trial.until_ms;
                let problem = worse.or_else(|| late.then(|| "nobody confirmed it in time".to_owned()));
                if let Some(problem) = &problem {
                    // From here on it is too late to confirm it.
                    trial.verdict = Verdict::TakingBack(problem.clone());
                }
                problem
            };
            if let Some(problem) = problem {
                return self.take_back(number, problem).await;
            }
        }
    }

    async fn take_back(&self, number: u64, problem: String) {
        (self.surroundings.say)(&format!("document {number} is taken back: {problem}"));
        let back_to = self.trial().map_or(0, |trial| trial.back_to);
        let result = match self.earlier(Some(back_to)) {
            Ok((back_to, bundle)) => {
                self.change(Text::Bundle(bundle), Occasion::TakenBack(back_to)).await.map(drop)
            }
            Err(refused) => Err(refused),
        };
        let mut state = self.state();
        let Some(trial) = state.trial.as_mut().filter(|t| t.number == number && !t.verdict.is_final()) else {
            // The operator was faster.
            return;
        };
        trial.verdict = match result {
            Ok(()) => Verdict::TakenBack(problem),
            Err(refused) => Verdict::Stays(format!("{problem}; {}", refused.problem)),
        };
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

//! Putting a document to work on trial.

use std::sync::Arc;
use std::time::Duration;

use tollgate_config::Bundle;
use tollgate_runtime::Clock;

use super::{Applied, Instance, Refused};
use crate::history::Occasion;
use crate::prepare::Text;
use crate::trial::{self, BASELINE, FiguresByRoute, LOOK, Trial, Verdict};

impl Instance {
    /// Puts a document into force for so long. It stays if [`Self::confirm`] is called in time, and goes if
    /// exchanges fare worse than before or nobody confirms it. Exchanges are watched for a few seconds before
    /// it is put into force, to know what is usual.
    ///
    /// # Errors
    ///
    /// As for [`Instance::reload`], and where another document is on trial or the counters are off.
    pub async fn apply_on_trial(
        self: &Arc<Self>,
        bundle: Bundle,
        time: Duration,
    ) -> Result<Applied, Refused> {
        self.end_trial(&Occasion::Apply)?;
        // What is wrong with the document is told before anybody waits.
        self.prepare(Text::Bundle(Arc::new(bundle.clone()))).await?;
        let before = self.baseline().await;
        let start = trial::figures(&self.process.current());
        let back_to = self.process.snapshot().number;
        let applied = self.apply(bundle).await?;
        if applied.unchanged {
            return Ok(applied);
        }
        let until_ms = Clock::new().now_ms().saturating_add(time.as_millis() as u64);
        let trial = Trial {
            number: applied.number,
            back_to,
            until_ms,
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
            _ => return Err("no document is on trial".to_owned().into()),
        };
        (self.surroundings.say)(&format!("document {number} is confirmed"));
        Ok(number)
    }

    /// A change that is not the end of a trial has to wait for that; going back by hand ends it.
    pub(super) fn end_trial(&self, occasion: &Occasion) -> Result<(), Refused> {
        let mut state = self.state();
        let Some(trial) = state.trial.as_mut() else { return Ok(()) };
        match occasion {
            Occasion::TakenBack(_) if self.process.snapshot().number != trial.number => {
                Err("another document was put into force meanwhile".to_owned().into())
            }
            Occasion::TakenBack(_) => Ok(()),
            _ if trial.verdict != Verdict::Running => Ok(()),
            Occasion::Rollback(_) => {
                trial.verdict = Verdict::TakenBack("rolled back by the operator".to_owned());
                Ok(())
            }
            Occasion::Start | Occasion::Reload | Occasion::Apply => {
                let number = trial.number;
                Err(format!("document {number} is on trial; confirm it or roll it back first").into())
            }
        }
    }

    /// What is usual: what came in a few seconds, or where that is little, all since the process started.
    async fn baseline(&self) -> FiguresByRoute {
        let earlier = trial::figures(&self.process.current());
        tokio::time::sleep(BASELINE).await;
        let all = trial::figures(&self.process.current());
        let mut lately = trial::between(&earlier, &all);
        for (name, figures) in all {
            let few = lately.get(&name).is_none_or(|lately| lately.exchanges < 200);
            if few {
                lately.insert(name, figures);
            }
        }
        lately
    }

    async fn watch_trial(self: Arc<Self>, number: u64, start: FiguresByRoute) {
        let mut interval = tokio::time::interval(LOOK);
        loop {
            interval.tick().await;
            let since = trial::between(&start, &trial::figures(&self.process.current()));
            let problem = {
                let mut state = self.state();
                let running =
                    |trial: &&mut Trial| trial.number == number && trial.verdict == Verdict::Running;
                let Some(trial) = state.trial.as_mut().filter(running) else { return };
                trial.since = since;
                let late = Clock::new().now_ms() >= trial.until_ms;
                let problem = trial::worse(&trial.before, &trial.since)
                    .or_else(|| late.then(|| "nobody confirmed it in time".to_owned()));
                if let Some(problem) = &problem {
                    // From here on it is too late to confirm it.
                    trial.verdict = Verdict::TakenBack(problem.clone());
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
        let verdict = match result {
            Ok(()) => problem,
            Err(refused) => {
                format!("{problem}; but document {back_to} could not be put into force: {refused}")
            }
        };
        if let Some(trial) = self.state().trial.as_mut().filter(|trial| trial.number == number) {
            trial.verdict = Verdict::TakenBack(verdict);
        }
    }
}

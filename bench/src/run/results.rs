//! All rounds together: medians, ratios, verdicts.

use super::cell::Measure;
use super::plan::{Cell, Figure, Method, Pair, Row, Subject, Target};
use super::turns::Comparison;
use serde::Serialize;
use std::collections::BTreeMap;

/// The outcome of each cell, round by round. A cell whose program is missing is in no round.
#[derive(Debug, Default)]
pub(crate) struct Results {
    rounds: Vec<BTreeMap<Cell, Result<Measure, String>>>,
    /// The same for what is compared in turns.
    turns: Vec<BTreeMap<Pair, Result<Comparison, String>>>,
}

/// A median with the extremes around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// Middle value.
    pub(crate) median: f64,
    /// Smallest value.
    pub(crate) low: f64,
    /// Largest value.
    pub(crate) high: f64,
}

impl Spread {
    /// Of any number of values; none of no values.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, low, high })
    }
}

/// How a claim came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Verdict {
    /// The ratio is within the limit.
    Pass,
    /// It is not.
    Miss,
    /// A measurement had errors.
    Invalid,
    /// A program is missing.
    Unmeasured,
    /// Nothing is claimed.
    Unclaimed,
}

impl Verdict {
    /// Whether a median is within a limit.
    pub(crate) fn of(measured: Option<Spread>, limit: f64) -> Self {
        match measured {
            None => Self::Unmeasured,
            Some(measured) if measured.median <= limit => Self::Pass,
            Some(_) => Self::Miss,
        }
    }

    /// As the tables spell it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Miss => "MISS",
            Self::Invalid => "INVALID",
            Self::Unmeasured | Self::Unclaimed => "",
        }
    }
}

impl Results {
    /// Begins the next round.
    pub(crate) fn begin_round(&mut self) {
        self.rounds.push(BTreeMap::new());
        self.turns.push(BTreeMap::new());
    }

    /// Notes what came of a pair in the present round.
    pub(crate) fn note_pair(&mut self, pair: Pair, outcome: Result<Comparison, String>) {
        if let Some(round) = self.turns.last_mut() {
            round.insert(pair, outcome);
        }
    }

    /// All comparisons in turns that came to an end.
    pub(crate) fn comparisons(&self, pair: Pair) -> Vec<&Comparison> {
        self.turns.iter().filter_map(|round| round.get(&pair)?.as_ref().ok()).collect()
    }

    /// The ratio of a pair: the median of its turns in each round.
    pub(crate) fn ratio_in_turns(&self, pair: Pair) -> Option<Spread> {
        if self.pair_problem(pair).is_some() {
            return None;
        }
        Spread::of(self.comparisons(pair).iter().map(|comparison| comparison.ratio.median).collect())
    }

    /// What went wrong with a pair, the first time it did.
    pub(crate) fn pair_problem(&self, pair: Pair) -> Option<&str> {
        self.turns.iter().find_map(|round| Some(round.get(&pair)?.as_ref().err()?.as_str()))
    }

    /// All pairs with a problem.
    pub(crate) fn pair_problems(&self) -> Vec<(Pair, &str)> {
        let mut pairs: Vec<Pair> = self.turns.iter().flat_map(|round| round.keys().copied()).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs.into_iter().filter_map(|pair| Some((pair, self.pair_problem(pair)?))).collect()
    }

    /// Notes a cell of the present round.
    pub(crate) fn note(&mut self, cell: Cell, outcome: Result<Measure, String>) {
        if let Some(round) = self.rounds.last_mut() {
            round.insert(cell, outcome);
        }
    }

    /// The values of one figure over the rounds; none if the cell was not run or is invalid.
    pub(crate) fn spread(&self, cell: Cell, value: impl Fn(&Measure) -> f64) -> Option<Spread> {
        if self.problem(cell).is_some() {
            return None;
        }
        Spread::of(
            self.rounds.iter().filter_map(|round| Some(value(round.get(&cell)?.as_ref().ok()?))).collect(),
        )
    }

    /// The ratio of two cells, taken inside each round.
    pub(crate) fn ratio(&self, cell: Cell, against: Cell, figure: Figure) -> Option<Spread> {
        if self.problem(cell).or_else(|| self.problem(against)).is_some() {
            return None;
        }
        let ratio = |round: &BTreeMap<Cell, Result<Measure, String>>| {
            let value = |cell: Cell| figure.of(round.get(&cell)?.as_ref().ok()?);
            let (own, other) = (value(cell)?, value(against)?);
            (other > 0.0).then_some(own / other)
        };
        Spread::of(self.rounds.iter().filter_map(ratio).collect())
    }

    /// What went wrong with a cell, the first time it did.
    pub(crate) fn problem(&self, cell: Cell) -> Option<&str> {
        self.rounds.iter().find_map(|round| Some(round.get(&cell)?.as_ref().err()?.as_str()))
    }

    /// All invalid cells with the reason.
    pub(crate) fn problems(&self) -> Vec<(Cell, &str)> {
        let mut cells: Vec<Cell> = self.rounds.iter().flat_map(|round| round.keys().copied()).collect();
        cells.sort_unstable();
        cells.dedup();
        cells.into_iter().filter_map(|cell| Some((cell, self.problem(cell)?))).collect()
    }

    /// How a claim about `cell` came out.
    pub(crate) fn verdict(&self, cell: Cell, row: &Row, target: &Target) -> (Verdict, Option<Spread>) {
        let pair = Pair { of: cell, against: target.against };
        let (problem, ratio) = match target.method {
            Method::Rounds => (
                self.problem(cell).or_else(|| self.problem(target.against)),
                self.ratio(cell, target.against, row.figure),
            ),
            Method::Turns => (self.pair_problem(pair), self.ratio_in_turns(pair)),
        };
        match problem {
            Some(_) => (Verdict::Invalid, None),
            None => (target.limit.map_or(Verdict::Unclaimed, |limit| Verdict::of(ratio, limit)), ratio),
        }
    }

    /// How the claim about Tollgate's figure itself came out; none where there is no such claim.
    pub(crate) fn ceiling_verdict(&self, row: &Row) -> Option<(Verdict, Option<Spread>)> {
        let ceiling = row.ceiling?;
        let cell = Cell { shape: row.shape, subject: Subject::Tollgate };
        if self.problem(cell).is_some() {
            return Some((Verdict::Invalid, None));
        }
        let figures =
            self.rounds.iter().filter_map(|round| row.figure.of(round.get(&cell)?.as_ref().ok()?));
        let spread = Spread::of(figures.collect());
        Some((Verdict::of(spread, ceiling), spread))
    }

    /// Every comparison in turns, for the JSON output.
    pub(crate) fn raw_pairs(&self) -> Vec<RawPair<'_>> {
        let numbered = self.turns.iter().enumerate();
        numbered
            .flat_map(|(round, pairs)| pairs.iter().map(move |(pair, outcome)| (round, pair, outcome)))
            .map(|(round, pair, outcome)| RawPair {
                round: round + 1,
                pair: *pair,
                comparison: outcome.as_ref().ok(),
                problem: outcome.as_ref().err().map(String::as_str),
            })
            .collect()
    }

    /// Every measurement, for the JSON output: round, cell, figures or the problem.
    pub(crate) fn raw(&self) -> Vec<Raw<'_>> {
        let numbered = self.rounds.iter().enumerate();
        numbered
            .flat_map(|(round, cells)| cells.iter().map(move |(cell, outcome)| (round, cell, outcome)))
            .map(|(round, cell, outcome)| Raw {
                round: round + 1,
                cell: *cell,
                measure: outcome.as_ref().ok(),
                problem: outcome.as_ref().err().map(String::as_str),
            })
            .collect()
    }
}

/// One comparison in turns.
#[derive(Debug, Serialize)]
pub(crate) struct RawPair<'a> {
    round: usize,
    #[serde(flatten)]
    pair: Pair,
    comparison: Option<&'a Comparison>,
    problem: Option<&'a str>,
}

/// One measurement of one round.
#[derive(Debug, Serialize)]
pub(crate) struct Raw<'a> {
    round: usize,
    #[serde(flatten)]
    cell: Cell,
    measure: Option<&'a Measure>,
    problem: Option<&'a str>,
}

impl Figure {
    /// The figure in a measurement.
    pub(crate) fn of(self, measure: &Measure) -> Option<f64> {
        match self {
            Self::Cpu => Some(measure.cpu_us),
            Self::IdleMemory => measure.idle_kib,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Results, Spread, Verdict};
    use crate::run::cell::Measure;
    use crate::run::plan::{Cell, Shape, Subject};
    use crate::run::scenarios::rows;

    const OURS: Cell = Cell { shape: Shape::Small, subject: Subject::Tollgate };
    const PEER: Cell = Cell { shape: Shape::Small, subject: Subject::Haproxy };

    fn measure(cpu_us: f64) -> Measure {
        Measure {
            cpu_us,
            user_us: 1.0,
            rate: 1.0,
            p50_ms: 1.0,
            p99_ms: 1.0,
            p999_ms: 1.0,
            peak_mib: 1.0,
            grown_kib: 0.0,
            idle_kib: None,
        }
    }

    fn results(rounds: &[(f64, f64)]) -> Results {
        let mut results = Results::default();
        for (ours, peer) in rounds {
            results.begin_round();
            results.note(OURS, Ok(measure(*ours)));
            results.note(PEER, Ok(measure(*peer)));
        }
        results
    }

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(Spread::of(vec![]), None);
        let odd = Spread::of(vec![3.0, 1.0, 2.0]).expect("three values");
        assert_eq!((odd.low, odd.median, odd.high), (1.0, 2.0, 3.0));
        assert_eq!(Spread::of(vec![4.0, 1.0]).map(|spread| spread.median), Some(2.5));
    }

    #[test]
    fn the_ratio_is_taken_inside_each_round() {
        // The machine was half as fast in the last round: the medians of the cells alone would say 20/40.
        let results = results(&[(20.0, 30.0), (20.0, 40.0), (60.0, 80.0)]);
        let ratio = results.ratio(OURS, PEER, super::Figure::Cpu).expect("measured");
        assert!((ratio.median - 2.0 / 3.0).abs() < 1e-9, "{ratio:?}");
    }

    #[test]
    fn verdicts_follow_the_limit_and_an_error_spoils_the_row() {
        let row = rows().next().expect("there are rows");
        let verdict = |results: &Results| results.verdict(OURS, row, &row.targets[0]).0;
        assert_eq!(verdict(&results(&[(0.72, 1.0)])), Verdict::Pass);
        assert_eq!(verdict(&results(&[(0.73, 1.0)])), Verdict::Miss);
        assert_eq!(verdict(&Results::default()), Verdict::Unmeasured);
        let mut spoiled = results(&[(0.5, 1.0)]);
        spoiled.begin_round();
        spoiled.note(PEER, Err("status 503".to_owned()));
        assert_eq!(verdict(&spoiled), Verdict::Invalid);
        assert_eq!(spoiled.spread(PEER, |measure| measure.cpu_us), None);
        assert_eq!(spoiled.problems(), vec![(PEER, "status 503")]);
    }
}

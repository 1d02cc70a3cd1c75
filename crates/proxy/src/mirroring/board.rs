//! What comparisons came to: for each mirror the counts and the places that differ, and the last exchanges that
//! differed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate_comparison::{Comparison, Verdict};
use tollgate_decision::{Kept, Reason};

use super::Compared;
use super::comparer::Subject;
use crate::recorder::Entry;

/// How many exchanges are kept.
const EXCHANGES: usize = 256;
/// How many bytes they may take, about.
const EXCHANGE_BYTES: usize = 8 * 1024 * 1024;
/// How many places are told apart for a mirror; what differs elsewhere is counted together.
const PLACES: usize = 100;
/// How many mirrors are told of; documents may have had more of them than anybody wants to hear of.
const MIRRORS: usize = 1_000;

/// An exchange whose answers differed.
#[derive(Clone, Debug)]
pub struct Differing {
    /// Which.
    pub subject: Subject,
    /// How they differed.
    pub outcome: Outcome,
    /// What the flight recorder would keep of it.
    pub entry: Option<Arc<Entry>>,
}

/// How two answers differed.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Both were there.
    Compared(Comparison),
    /// The mirror's was not, for this reason.
    Unanswered(Reason),
}

impl Differing {
    fn bytes(&self) -> usize {
        let differences = match &self.outcome {
            Outcome::Compared(comparison) => comparison.differences.len() * 512,
            Outcome::Unanswered(_) => 0,
        };
        256 + differences + self.entry.as_ref().map_or(0, |entry| entry.bytes())
    }
}

/// What the comparisons of one mirror came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Pairs that were compared, the unanswered ones included.
    pub compared: u64,
    /// Those that were the same.
    pub same: u64,
    /// Those whose mirror did not answer.
    pub unanswered: u64,
    /// Where answers differed, `[*]` standing for every index.
    pub places: BTreeMap<String, PlaceTally>,
    /// Differences at places beyond those that are told apart.
    pub elsewhere: u64,
    /// The request id of the last pair that was not the same.
    pub example: Option<Box<[u8]>>,
}

/// What differed at one place.
#[derive(Clone, Debug, Default)]
pub struct PlaceTally {
    /// How many pairs differed there.
    pub count: u64,
    /// The request id of the last of them.
    pub example: Box<[u8]>,
}

/// A mirror by the names of its route and upstream, with its tally.
pub type Told = ((Arc<str>, Arc<str>), Tally);

/// What all comparisons came to.
#[derive(Debug, Default)]
pub struct Board {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    mirrors: BTreeMap<(Arc<str>, Arc<str>), Tally>,
    /// Newest last.
    exchanges: VecDeque<Arc<Differing>>,
    bytes: usize,
}

impl Board {
    /// Takes the result of a comparison. Pairs that are the same are only counted.
    pub fn add(&self, result: Compared, differing: Differing) {
        let mut state = self.lock();
        let key = (differing.subject.route.clone(), differing.subject.upstream.clone());
        if state.mirrors.len() < MIRRORS || state.mirrors.contains_key(&key) {
            state.mirrors.entry(key).or_default().add(result, &differing);
        }
        if result == Compared::Verdict(Verdict::Same) {
            return;
        }
        state.bytes += differing.bytes();
        state.exchanges.push_back(Arc::new(differing));
        while state.exchanges.len() > EXCHANGES || state.bytes > EXCHANGE_BYTES {
            let Some(oldest) = state.exchanges.pop_front() else { break };
            state.bytes -= oldest.bytes();
        }
    }

    /// Each mirror that was compared, by route and upstream.
    pub fn mirrors(&self) -> Vec<Told> {
        self.lock().mirrors.iter().map(|(key, tally)| (key.clone(), tally.clone())).collect()
    }

    /// The last exchanges that differed, newest first.
    pub fn last(&self, count: usize) -> Vec<Arc<Differing>> {
        self.lock().exchanges.iter().rev().take(count).cloned().collect()
    }

    /// What differed in the exchanges with this request id: one for each mirror.
    pub fn find(&self, request_id: &[u8]) -> Vec<Arc<Differing>> {
        let state = self.lock();
        state.exchanges.iter().filter(|kept| *kept.subject.request_id == *request_id).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn add(&mut self, result: Compared, differing: &Differing) {
        self.compared += 1;
        if result == Compared::Verdict(Verdict::Same) {
            self.same += 1;
            return;
        }
        let id = &differing.subject.request_id;
        self.example = Some(id.clone());
        let comparison = match &differing.outcome {
            Outcome::Unanswered(_) => {
                self.unanswered += 1;
                return;
            }
            Outcome::Compared(comparison) => comparison,
        };
        // A pair counts once for each place, however many elements of a list differ there.
        let mut places: Vec<String> = comparison.differences.iter().map(|d| d.place.general()).collect();
        places.sort_unstable();
        places.dedup();
        for place in places {
            if self.places.len() >= PLACES && !self.places.contains_key(&place) {
                self.elsewhere += 1;
                continue;
            }
            let tally = self.places.entry(place).or_default();
            tally.count += 1;
            tally.example.clone_from(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tollgate_comparison::{Answer, Rules, compare};

    use super::*;

    fn add(board: &Board, id: &str, one: &str, other: &str) {
        let answer = |body: &'static str| Answer {
            status: 200,
            head: b"",
            trailers: b"",
            body: Some(body.as_bytes()),
        };
        let comparison =
            compare(&Rules::default(), &answer(one.to_owned().leak()), &answer(other.to_owned().leak()));
        let subject = Subject {
            route: "r".into(),
            upstream: "u".into(),
            request_id: id.as_bytes().into(),
            began: Duration::ZERO,
        };
        let result = Compared::Verdict(comparison.verdict());
        board.add(result, Differing { subject, outcome: Outcome::Compared(comparison), entry: None });
    }

    #[test]
    fn places_are_counted_once_a_pair_and_have_an_example() {
        let board = Board::default();
        add(&board, "a", "[1,2,3]", "[1,2,3]");
        add(&board, "b", "[1,2,3]", "[4,5,3]");
        add(&board, "c", "[1,2,3]", "[4,2,3]");
        let mirrors = board.mirrors();
        let (_, tally) = &mirrors[0];
        assert_eq!((tally.compared, tally.same), (3, 1));
        let place = &tally.places["$[*]"];
        assert_eq!((place.count, &*place.example), (2, &b"c"[..]));
        let last = board.last(10);
        assert_eq!(last.iter().map(|kept| &*kept.subject.request_id).collect::<Vec<_>>(), [b"c", b"b"]);
        assert_eq!((board.find(b"b").len(), board.find(b"a").len()), (1, 0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let board = Board::default();
        for number in 0..1_000 {
            add(&board, &number.to_string(), "{}", &format!("{{\"m{number}\":1}}"));
        }
        let mirrors = board.mirrors();
        let (_, tally) = &mirrors[0];
        assert_eq!((tally.places.len(), tally.elsewhere, tally.compared), (PLACES, 900, 1_000));
        assert_eq!(board.last(usize::MAX).len(), EXCHANGES);
    }
}

//! The order of the queue, its bounds, and that nobody is lost.

use std::collections::VecDeque;

use super::{Left, Queue, Token};
use crate::admission::refused::Why;
use crate::admission::settings::{Class, QueueSettings, Ticket};
use crate::random::Random;

mod noisy;

fn ticket(class: Class, key: u64) -> Ticket {
    Ticket { class, key, ..Ticket::default() }
}

fn queue<T>(length: u32) -> Queue<T> {
    Queue::new(QueueSettings { length, timeout_ms: 1000, ..QueueSettings::default() })
}

fn pushed(queue: &mut Queue<u64>, class: Class, key: u64, value: u64) -> Token {
    queue.push(&ticket(class, key), 0, value).unwrap().0
}

/// Who gets places, as long as any wait.
fn order(queue: &mut Queue<u64>) -> Vec<u64> {
    std::iter::from_fn(|| queue.pop(0).and_then(|left| queue.collect(left.token))).collect()
}

#[test]
fn keys_take_turns_and_each_is_first_come_first_served() {
    let mut queue = queue(100);
    for (value, key) in [7, 7, 7, 8, 7, 9, 8].into_iter().enumerate() {
        pushed(&mut queue, Class::Normal, key, value as u64);
    }
    assert_eq!(order(&mut queue), [0, 3, 5, 1, 6, 2, 4]);
    assert!(queue.is_empty());
}

#[test]
fn urgent_classes_go_first_and_each_that_waits_gets_its_floor() {
    let mut queue = queue(100_000);
    for value in 0..12_000 {
        for class in Class::ALL {
            pushed(&mut queue, class, value % 5, class.index() as u64);
        }
    }
    let mut got = [0u32; 4];
    for _ in 0..6000 {
        let left = queue.pop(0).unwrap();
        got[queue.collect(left.token).unwrap() as usize] += 1;
    }
    let floors = [6000 - 600 - 400 - 300, 600, 400, 300];
    for (got, floor) in got.iter().zip(floors) {
        assert!(got.abs_diff(floor) <= 60, "{got} of {floor}");
    }
}

#[test]
fn who_is_called_back_is_next_of_its_class() {
    let mut queue = queue(100);
    for value in 0..4 {
        pushed(&mut queue, Class::Normal, value, value);
    }
    let left = queue.pop(0).unwrap();
    queue.collect(left.token);
    queue.push_back_first(&ticket(Class::Normal, 0), left.waited, 0, 0, 0);
    assert_eq!(order(&mut queue), [0, 1, 2, 3]);
}

#[test]
fn a_full_queue_takes_light_keys_and_urgent_ones_at_the_cost_of_heavy_and_patient_ones() {
    let mut queue = queue(10);
    for value in 0..10 {
        pushed(&mut queue, Class::Normal, 1, value);
    }
    assert_eq!(queue.push(&ticket(Class::Normal, 1), 0, 99).unwrap_err().why, Why::QueueFull);
    let (_, out) = queue.push(&ticket(Class::Normal, 2), 0, 10).unwrap();
    let out = out.unwrap();
    assert_eq!((out.why, queue.collect(out.token)), (Some(Why::PushedOut), Some(9)));
    assert_eq!(queue.push(&ticket(Class::Low, 3), 0, 99).unwrap_err().why, Why::QueueFull);
    let (_, out) = queue.push(&ticket(Class::Critical, 1), 0, 11).unwrap();
    assert_eq!(queue.collect(out.unwrap().token), Some(8));
    assert_eq!(queue.len(), 10);
    assert_eq!(order(&mut queue)[..3], [11, 0, 10]);
}

#[test]
fn a_wait_that_cannot_end_in_time_is_refused_at_once_with_when_to_come_again() {
    let mut queue = Queue::new(QueueSettings { timeout_ms: 3000, ..QueueSettings::default() });
    // One place becomes free each 100 ms.
    let mut now_us = 0;
    let push = |queue: &mut Queue<()>, key, deadline_ms, now_us| {
        queue.push(&Ticket { key, deadline_ms, ..Ticket::default() }, now_us, ()).map(|_| ())
    };
    for _ in 0..20 {
        push(&mut queue, 1, u64::MAX, now_us).unwrap();
        now_us += 100_000;
        let left = queue.pop(now_us).unwrap();
        queue.collect(left.token);
    }
    for waiting in 0..29 {
        assert_eq!(push(&mut queue, 1, u64::MAX, now_us), Ok(()), "{waiting}");
    }
    let refused = push(&mut queue, 1, u64::MAX, now_us + 150_000).unwrap_err();
    assert_eq!((refused.why, refused.retry_after_s), (Why::WaitTooLong, 4));
    assert_eq!((refused.waited.position, refused.waited.length), (29, 29));
    // Another key has its turn after one more, unless its own deadline comes before.
    assert!(push(&mut queue, 2, now_us / 1000 + 1000, now_us).is_ok());
    assert_eq!(push(&mut queue, 3, now_us / 1000 + 50, now_us).unwrap_err().why, Why::WaitTooLong);
    assert_eq!(push(&mut queue, 3, now_us / 1000, now_us).unwrap_err().why, Why::WaitTooLong);
}

#[test]
fn who_comes_first_waits_whatever_was_measured_before() {
    let mut queue = Queue::new(QueueSettings { timeout_ms: 50, ..QueueSettings::default() });
    for n in 0..20 {
        queue.push(&Ticket::default(), n * 1_000_000, ()).unwrap();
        let left = queue.pop(n * 1_000_000 + 49_000).unwrap();
        queue.collect(left.token);
    }
    assert!(queue.push(&Ticket::default(), 30_000_000, ()).is_ok());
}

#[test]
fn a_line_that_waits_too_long_is_shed_and_the_others_are_not() {
    let settings = QueueSettings { target_ms: Some(5), timeout_ms: 60_000, ..QueueSettings::default() };
    let mut queue: Queue<u64> = Queue::new(settings);
    let (mut shed, mut served) = ([0; 3], [0; 3]);
    for step in 0..5000u64 {
        let now_us = step * 1000;
        // Key 1 comes twice as often as it is served, key 2 half as often.
        for _ in 0..2 {
            let _ = queue.push(&ticket(Class::Normal, 1), now_us, 1);
        }
        if step % 4 == 0 {
            let _ = queue.push(&ticket(Class::Normal, 2), now_us, 2);
        }
        while let Some(Left { token, why, .. }) = queue.pop(now_us) {
            let key = queue.collect(token).unwrap() as usize;
            match why {
                None => {
                    served[key] += 1;
                    break;
                }
                Some(why) => {
                    assert_eq!(why, Why::Shed);
                    shed[key] += 1;
                }
            }
        }
    }
    assert_eq!((shed[2], served[2]), (0, 1250));
    assert!(shed[1] > 500, "{shed:?}");
}

/// Keys in the order of their turns, each with who waits.
type Lines = VecDeque<(u64, VecDeque<(u64, Token)>)>;

/// The same rules written as plainly as possible.
#[derive(Default)]
struct Naive {
    /// Lines of a class in the order of their turns.
    classes: [Lines; 4],
    passed: [u32; 4],
}

impl Naive {
    fn len(&self) -> usize {
        self.classes.iter().flatten().map(|(_, line)| line.len()).sum()
    }

    fn line(&self, class: Class, key: u64) -> usize {
        self.classes[class.index()].iter().find(|(of, _)| *of == key).map_or(0, |(_, line)| line.len())
    }

    fn push(&mut self, class: Class, key: u64, who: (u64, Token)) {
        let lines = &mut self.classes[class.index()];
        match lines.iter_mut().find(|(of, _)| *of == key) {
            Some((_, line)) => line.push_back(who),
            None => lines.push_back((key, VecDeque::from([who]))),
        }
    }

    fn return_first(&mut self, class: Class, key: u64, who: (u64, Token)) {
        let lines = &mut self.classes[class.index()];
        match lines.iter().position(|(of, _)| *of == key) {
            Some(at) => lines.rotate_left(at),
            None => lines.push_front((key, VecDeque::new())),
        }
        lines[0].1.push_front(who);
    }

    fn position(&self, class: Class, key: u64) -> usize {
        let own = self.line(class, key);
        let urgent: usize = self.classes[..class.index()].iter().flatten().map(|(_, line)| line.len()).sum();
        let mine = self.classes[class.index()].iter().map(|(_, line)| line.len().min(own + 1));
        urgent + mine.sum::<usize>()
    }

    /// How long lines are that a newcomer may push somebody out of, and of which class.
    fn victims(&self, class: Class, key: u64) -> Option<(Class, usize)> {
        let longest = |class: Class| self.classes[class.index()].iter().map(|(_, line)| line.len()).max();
        for below in Class::ALL[class.index() + 1..].iter().rev() {
            if let Some(longest) = longest(*below) {
                return Some((*below, longest));
            }
        }
        longest(class).filter(|longest| *longest > self.line(class, key) + 1).map(|longest| (class, longest))
    }

    fn pop(&mut self) -> Option<u64> {
        let waits = |class: &Class| !self.classes[class.index()].is_empty();
        let due = |class: &Class| waits(class) && self.passed[class.index()] + 1 >= class.floor();
        let class = Class::ALL.into_iter().rev().find(due).or_else(|| Class::ALL.into_iter().find(waits))?;
        for other in Class::ALL {
            let waits = !self.classes[other.index()].is_empty();
            let passed = &mut self.passed[other.index()];
            *passed = if other == class || !waits { 0 } else { *passed + 1 };
        }
        let lines = &mut self.classes[class.index()];
        let (key, mut line) = lines.pop_front()?;
        let (value, _) = line.pop_front()?;
        if !line.is_empty() {
            lines.push_back((key, line));
        } else if lines.is_empty() {
            self.passed[class.index()] = 0;
        }
        Some(value)
    }

    fn remove(&mut self, token: Token) -> Option<(Class, u64, bool, usize)> {
        for class in Class::ALL {
            let lines = &mut self.classes[class.index()];
            for at in 0..lines.len() {
                let (key, line) = &mut lines[at];
                if let Some(place) = line.iter().position(|(_, of)| *of == token) {
                    let (key, last, len) = (*key, place + 1 == line.len(), line.len());
                    line.remove(place);
                    if line.is_empty() {
                        lines.remove(at);
                        if lines.is_empty() {
                            self.passed[class.index()] = 0;
                        }
                    }
                    return Some((class, key, last, len));
                }
            }
        }
        None
    }

    fn any(&self, random: &mut Random) -> Option<Token> {
        let all: Vec<Token> = self
            .classes
            .iter()
            .flatten()
            .flat_map(|(_, line)| line.iter().map(|(_, token)| *token))
            .collect();
        all.get(random.below(all.len() as u64) as usize).copied()
    }
}

#[test]
fn it_does_what_the_rules_say_for_any_order_of_events() {
    for seed in 0..3000 {
        let run = std::panic::AssertUnwindSafe(|| random_events(seed));
        assert!(std::panic::catch_unwind(run).is_ok(), "seed {seed}");
    }
}

fn random_events(seed: u64) {
    let mut random = Random::new(seed);
    let length = 1 + random.below(20) as u32;
    let (mut queue, mut naive) = (queue::<u64>(length), Naive::default());
    let keys = 1 + random.below(6);
    for value in 0..300 {
        let class = Class::ALL[random.below(4) as usize];
        let key = random.below(keys);
        match random.below(8) {
            0..4 => push_both(&mut queue, &mut naive, class, key, value, length),
            4..6 => {
                let left = queue.pop(0);
                let expected = naive.pop();
                assert_eq!(left.and_then(|left| queue.collect(left.token)), expected);
                // Some of those who get a place come back at once.
                if let (Some(left), Some(_), 0) = (left, expected, random.below(4)) {
                    let token = queue.push_back_first(&ticket(class, key), left.waited, 0, 0, value);
                    naive.return_first(class, key, (value, token));
                }
            }
            6 => {
                let Some(token) = naive.any(&mut random) else { continue };
                naive.remove(token);
                assert!(queue.collect(token).is_none(), "still waiting");
                assert!(queue.remove(token, 0).is_some() && queue.remove(token, 0).is_none());
                assert!(queue.collect(token).is_some() && queue.collect(token).is_none());
            }
            _ => {
                let Some(token) = naive.any(&mut random) else { continue };
                naive.remove(token);
                assert_eq!(queue.time_out(token, 0).and_then(|left| left.why), Some(Why::TimedOut));
                assert!(queue.collect(token).is_some());
            }
        }
        assert_eq!(queue.len() as usize, naive.len());
        for class in Class::ALL {
            let len: usize = naive.classes[class.index()].iter().map(|(_, line)| line.len()).sum();
            assert_eq!(queue.len_of(class) as usize, len);
        }
    }
    assert_eq!(order(&mut queue), std::iter::from_fn(|| naive.pop()).collect::<Vec<_>>());
    assert_eq!(queue.free.len(), queue.nodes.len(), "all nodes are free again");
}

fn push_both(queue: &mut Queue<u64>, naive: &mut Naive, class: Class, key: u64, value: u64, length: u32) {
    let (position, full) = (naive.position(class, key), naive.len() >= length as usize);
    let victims = naive.victims(class, key).filter(|_| full);
    match queue.push(&ticket(class, key), 0, value) {
        Err(refused) => {
            assert!(full && victims.is_none());
            assert_eq!((refused.why, refused.waited.position as usize), (Why::QueueFull, position));
        }
        Ok((token, out)) => {
            assert_eq!(out.is_some(), full);
            if let Some(out) = out {
                let (class, _, last, len) = naive.remove(out.token).unwrap();
                assert_eq!((Some((class, len)), last), (victims, true));
                queue.collect(out.token);
            }
            naive.push(class, key, (value, token));
        }
    }
}

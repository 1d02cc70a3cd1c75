//! A scanner of incoming frame heads (RFC 9113 section 4.1) that charges what floods are made of.
//!
//! It reads the nine bytes before each frame and skips the rest, keeps a constant amount of state, and
//! leaves all judgement of validity to h2.

use std::collections::VecDeque;

use crate::PREFACE;
use crate::guard::{Guard, Offence};

const HEAD_LEN: usize = 9;
const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;

/// What a frame costs that makes Tollgate answer and touch each stream, or that h2 counts for ever.
const COSTLY: u32 = 5;

/// Of how many of the last opened streams the age is known.
const YOUNG_STREAMS: usize = 128;

/// How far a scan came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// All bytes may be passed on.
    All,
    /// Only this many: the rest is to wait until the heads before it are accepted.
    Until(usize),
    /// Only this many: the frame behind them was one too many.
    Flood(usize),
}

/// The scanner of one connection.
#[derive(Debug)]
pub(crate) struct Scanner {
    head: [u8; HEAD_LEN],
    have: usize,
    /// Bytes to skip until the next frame; the preface at first.
    skip: usize,
    last_stream: u32,
    /// The streams that were opened last and when, by ascending id.
    young: VecDeque<(u32, u64)>,
    /// Whether the header block that is being sent opens a stream.
    block_opens: bool,
    /// Whether the frame that is passing ends such a block.
    head_ends: bool,
    heads: u64,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            head: [0; HEAD_LEN],
            have: 0,
            skip: PREFACE.len(),
            last_stream: 0,
            young: VecDeque::new(),
            block_opens: false,
            head_ends: false,
            heads: 0,
        }
    }

    /// How many heads that open streams were passed on whole, so far.
    pub(crate) fn heads(&self) -> u64 {
        self.heads
    }

    /// Scans the next bytes of the connection. At most `quota` heads that open streams are passed on.
    pub(crate) fn scan(&mut self, bytes: &[u8], quota: &mut usize, guard: &Guard) -> Scan {
        let mut at = 0;
        while at < bytes.len() {
            let skipped = self.skip.min(bytes.len() - at);
            self.skip -= skipped;
            at += skipped;
            self.settle();
            let frame = at;
            let taken = (HEAD_LEN - self.have).min(bytes.len() - at);
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[at..at + taken]);
            if self.have + taken < HEAD_LEN {
                self.have += taken;
                return Scan::All;
            }
            if self.opens_stream() && *quota == 0 {
                return Scan::Until(frame);
            }
            if !self.judge(quota, guard) {
                return Scan::Flood(frame);
            }
            at += taken;
            self.have = 0;
            self.skip = self.length();
            self.settle();
        }
        Scan::All
    }

    fn length(&self) -> usize {
        usize::from(self.head[0]) << 16 | usize::from(self.head[1]) << 8 | usize::from(self.head[2])
    }

    fn stream(&self) -> u32 {
        u32::from_be_bytes([self.head[5], self.head[6], self.head[7], self.head[8]]) & 0x7fff_ffff
    }

    fn opens_stream(&self) -> bool {
        self.head[3] == HEADERS && self.stream() > self.last_stream
    }

    /// Charges the frame whose head is complete.
    fn judge(&mut self, quota: &mut usize, guard: &Guard) -> bool {
        let (kind, flags) = (self.head[3], self.head[4]);
        match kind {
            DATA if self.length() == 0 && flags & END_STREAM == 0 => guard.charge(Offence::IdleFrame(COSTLY)),
            DATA => true,
            HEADERS if self.opens_stream() => {
                *quota -= 1;
                self.note_opened(guard.now_ms());
                self.end_block(flags);
                true
            }
            HEADERS => {
                self.block_opens = false;
                guard.charge(Offence::IdleFrame(1))
            }
            CONTINUATION => {
                self.end_block(flags);
                true
            }
            RST_STREAM => self.judge_reset(guard),
            SETTINGS if flags & ACK == 0 => guard.charge(Offence::IdleFrame(COSTLY)),
            _ => guard.charge(Offence::IdleFrame(1)),
        }
    }

    fn note_opened(&mut self, now_ms: u64) {
        self.last_stream = self.stream();
        self.block_opens = true;
        if self.young.len() == YOUNG_STREAMS {
            self.young.pop_front();
        }
        self.young.push_back((self.last_stream, now_ms));
    }

    fn end_block(&mut self, flags: u8) {
        if flags & END_HEADERS != 0 {
            self.head_ends = std::mem::replace(&mut self.block_opens, false);
        }
    }

    /// Counts a head once the last of its frames has passed whole.
    fn settle(&mut self) {
        if self.skip == 0 && std::mem::replace(&mut self.head_ends, false) {
            self.heads += 1;
        }
    }

    fn judge_reset(&self, guard: &Guard) -> bool {
        let now_ms = guard.now_ms();
        let found = self.young.binary_search_by_key(&self.stream(), |(stream, _)| *stream);
        let rapid = found.is_ok_and(|at| guard.is_rapid(now_ms.saturating_sub(self.young[at].1)));
        guard.charge_at(if rapid { Offence::RapidReset } else { Offence::IdleFrame(1) }, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{GuardSettings, Rate};
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::rc::Rc;
    use tollgate_decision::Reason;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        out.extend([kind, flags]);
        out.extend(stream.to_be_bytes());
        out.extend(payload);
        out
    }

    fn guard(clock: &Rc<Cell<u64>>) -> Guard {
        let clock = Rc::clone(clock);
        let settings = GuardSettings {
            rapid_resets: Rate { burst: 2, per_second: 0 },
            idle_frames: Rate { burst: 10, per_second: 0 },
            ..GuardSettings::default()
        };
        Guard::new(settings, Rc::new(move || clock.get()))
    }

    fn begun() -> Scanner {
        let mut scanner = Scanner::new();
        let guard = guard(&Rc::default());
        assert_eq!(scanner.scan(PREFACE, &mut 0, &guard), Scan::All);
        scanner
    }

    #[test]
    fn young_streams_that_are_reset_are_rapid_and_old_ones_are_not() {
        let clock = Rc::new(Cell::new(0));
        let (guard, mut scanner) = (guard(&clock), begun());
        for stream in [1, 3, 5, 7] {
            let head = frame(HEADERS, END_HEADERS, stream, b"x");
            assert_eq!(scanner.scan(&head, &mut 1, &guard), Scan::All);
        }
        let reset = |stream| frame(RST_STREAM, 0, stream, &[0; 4]);
        assert_eq!(scanner.scan(&[reset(1), reset(3)].concat(), &mut 0, &guard), Scan::All);
        clock.set(1000);
        assert_eq!(scanner.scan(&reset(7), &mut 0, &guard), Scan::All);
        clock.set(0);
        assert_eq!(scanner.scan(&reset(5), &mut 0, &guard), Scan::Flood(0));
        assert_eq!(guard.verdict().unwrap().reason, Reason::RapidReset);
        assert_eq!(scanner.heads(), 4);
    }

    #[test]
    fn heads_wait_for_their_quota_at_a_border_of_frames() {
        let (guard, mut scanner) = (guard(&Rc::default()), begun());
        let one = frame(HEADERS, 0, 1, b"abc");
        let bytes =
            [one.clone(), frame(CONTINUATION, END_HEADERS, 1, b""), frame(HEADERS, END_HEADERS, 3, b"")];
        let bytes = bytes.concat();
        let border = one.len() + HEAD_LEN;
        assert_eq!(scanner.scan(&bytes, &mut 1, &guard), Scan::Until(border));
        assert_eq!(scanner.heads(), 1);
        assert_eq!(scanner.scan(&bytes[border..], &mut 1, &guard), Scan::All);
        assert_eq!(scanner.heads(), 2);
    }

    #[test]
    fn frames_that_carry_nothing_are_charged_and_those_that_do_are_not() {
        for (kind, flags, payload, allowed) in [
            (6, 0, 8, 10),
            (SETTINGS, 0, 0, 2),
            (2, 0, 5, 10),
            (8, 0, 4, 10),
            (DATA, 0, 0, 2),
            (0xbe, 0, 3, 10),
        ] {
            let (guard, mut scanner) = (guard(&Rc::default()), begun());
            let bytes = frame(kind, flags, 0, &vec![0; payload]);
            for _ in 0..allowed {
                assert_eq!(scanner.scan(&bytes, &mut 0, &guard), Scan::All, "{kind}");
            }
            assert_eq!(scanner.scan(&bytes, &mut 0, &guard), Scan::Flood(0), "{kind}");
            assert_eq!(guard.verdict().unwrap().reason, Reason::FrameFlood);
        }
        let (guard, mut scanner) = (guard(&Rc::default()), begun());
        for _ in 0..1000 {
            let bytes = [frame(DATA, 0, 1, b"x"), frame(DATA, END_STREAM, 1, b"")].concat();
            assert_eq!(scanner.scan(&bytes, &mut 0, &guard), Scan::All);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// However the bytes are cut, the same frames are seen and the same one is too many.
        #[test]
        fn cuts_change_nothing(
            kinds in proptest::collection::vec((0_u8..12, 0_u8..6, 0_u32..30, 0_usize..20), 1..60),
            cuts in proptest::collection::vec(1_usize..40, 1..30),
        ) {
            let bytes: Vec<u8> = PREFACE.iter().copied().chain(kinds.iter().flat_map(|(kind, flags, stream, len)| {
                frame(*kind, *flags, *stream, &vec![0; *len])
            })).collect();
            let (whole_guard, mut whole) = (guard(&Rc::default()), Scanner::new());
            let mut quota = usize::MAX;
            let expected = whole.scan(&bytes, &mut quota, &whole_guard);
            let (guard, mut scanner) = (guard(&Rc::default()), Scanner::new());
            let (mut at, mut seen) = (0, Scan::All);
            for cut in cuts.iter().cycle() {
                let end = (at + cut).min(bytes.len());
                seen = scanner.scan(&bytes[at..end], &mut quota, &guard);
                at = end;
                if at == bytes.len() || seen != Scan::All {
                    break;
                }
            }
            prop_assert_eq!(matches!(seen, Scan::Flood(_)), matches!(expected, Scan::Flood(_)));
            prop_assert_eq!(guard.verdict(), whole_guard.verdict());
            prop_assert_eq!(scanner.heads(), whole.heads());
        }
    }
}

//! The classes: whose turn it is, and which line is the longest.

use super::lines::{Lines, Links, NONE};
use crate::admission::settings::Class;

/// One class.
#[derive(Debug)]
struct Standing {
    /// How many wait in all its lines.
    len: u32,
    /// The line whose turn it is; its lines form a ring.
    turn: u32,
    /// How many got places since one of this class did, while one of it waited.
    passed: u32,
    /// By length of lines, from 1 on: a list of those of just this length, and how many are at least as long.
    by_length: Vec<OfLength>,
    /// The length of the longest line.
    longest: u32,
}

#[derive(Clone, Copy, Debug)]
struct OfLength {
    first: u32,
    at_least: u32,
}

impl Default for Standing {
    fn default() -> Self {
        Self { len: 0, turn: NONE, passed: 0, by_length: Vec::new(), longest: 0 }
    }
}

/// All classes.
#[derive(Debug, Default)]
pub(super) struct Classes([Standing; 4]);

impl Classes {
    pub(super) fn len(&self, class: Class) -> u32 {
        self.0[class.index()].len
    }

    /// The class whose turn it is: the most urgent one that waits, unless one below has been passed over so often that its
    /// floor is due.
    pub(super) fn next(&self) -> Option<Class> {
        let waits = |class: &Class| self.0[class.index()].len > 0;
        let due = |class: &Class| waits(class) && self.0[class.index()].passed + 1 >= class.floor();
        Class::ALL.into_iter().rev().find(due).or_else(|| Class::ALL.into_iter().find(waits))
    }

    /// The line of a class whose turn it is.
    pub(super) fn turn(&self, class: Class) -> u32 {
        self.0[class.index()].turn
    }

    /// The line whose turn it was got a place.
    pub(super) fn served(&mut self, served: Class, lines: &Lines) {
        for class in Class::ALL {
            let standing = &mut self.0[class.index()];
            standing.passed = if class == served || standing.len == 0 { 0 } else { standing.passed + 1 };
        }
        let standing = &mut self.0[served.index()];
        standing.turn = lines.next_turn(standing.turn);
    }

    /// It is this line's turn, out of turn.
    pub(super) fn call(&mut self, class: Class, line: u32) {
        self.0[class.index()].turn = line;
    }

    /// How many get a place before a newcomer whose line holds `own`, if nobody else comes: all of more urgent classes; and of each
    /// other line of its class as many as it has turns before the newcomer has its own.
    pub(super) fn before(&self, class: Class, own: u32) -> u32 {
        let urgent: u32 = self.0[..class.index()].iter().map(|standing| standing.len).sum();
        let rounds = self.0[class.index()].by_length.iter().take(own as usize + 1);
        urgent + rounds.map(|of_length| of_length.at_least).sum::<u32>()
    }

    /// The line that a newcomer to a full queue may push the last one out of: the longest of the least urgent class below its
    /// own; else the longest of its own, if that stays at least as long as the newcomer's becomes.
    pub(super) fn heaviest_for(&self, class: Class, own: u32, lines: &Lines) -> Option<u32> {
        let below = Class::ALL[class.index() + 1..].iter().rev().find(|below| self.len(**below) > 0);
        let standing = &self.0[below.unwrap_or(&class).index()];
        let of_length = standing.by_length.get((standing.longest as usize).checked_sub(1)?)?;
        let longest = of_length.first;
        (below.is_some() || lines.len(longest) > own + 1).then_some(longest)
    }

    /// A new line, which has its turn when all others of the class have had theirs.
    pub(super) fn open(&mut self, class: Class, line: u32, lines: &mut Lines) {
        let standing = &mut self.0[class.index()];
        let behind = standing.turn;
        if behind == NONE {
            *lines.turn(line) = Links { before: line, behind: line };
            standing.turn = line;
            return;
        }
        let before = lines.turn(behind).before;
        *lines.turn(line) = Links { before, behind };
        lines.turn(before).behind = line;
        lines.turn(behind).before = line;
    }

    /// A line in which nobody waits any more.
    pub(super) fn close(&mut self, class: Class, line: u32, lines: &mut Lines) {
        let standing = &mut self.0[class.index()];
        let Links { before, behind } = *lines.turn(line);
        if behind == line {
            standing.turn = NONE;
            standing.passed = 0;
            return;
        }
        lines.turn(before).behind = behind;
        lines.turn(behind).before = before;
        if standing.turn == line {
            standing.turn = behind;
        }
    }

    /// A line is longer by one.
    pub(super) fn grew(&mut self, class: Class, line: u32, lines: &mut Lines) {
        let standing = &mut self.0[class.index()];
        let len = lines.len(line);
        if len > 1 {
            standing.unlist(len - 1, line, lines);
        }
        standing.list(len, line, lines);
        standing.by_length[len as usize - 1].at_least += 1;
        standing.len += 1;
        standing.longest = standing.longest.max(len);
    }

    /// A line is shorter by one.
    pub(super) fn shrank(&mut self, class: Class, line: u32, lines: &mut Lines) {
        let standing = &mut self.0[class.index()];
        let len = lines.len(line);
        standing.unlist(len + 1, line, lines);
        standing.by_length[len as usize].at_least -= 1;
        if len > 0 {
            standing.list(len, line, lines);
        }
        standing.len -= 1;
        if standing.by_length[standing.longest as usize - 1].at_least == 0 {
            standing.longest -= 1;
        }
    }
}

impl Standing {
    fn list(&mut self, len: u32, line: u32, lines: &mut Lines) {
        let index = len as usize - 1;
        if self.by_length.len() <= index {
            self.by_length.resize(index + 1, OfLength { first: NONE, at_least: 0 });
        }
        let behind = std::mem::replace(&mut self.by_length[index].first, line);
        *lines.size(line) = Links { before: NONE, behind };
        if behind != NONE {
            lines.size(behind).before = line;
        }
    }

    fn unlist(&mut self, len: u32, line: u32, lines: &mut Lines) {
        let Links { before, behind } = *lines.size(line);
        match before {
            NONE => self.by_length[len as usize - 1].first = behind,
            before => lines.size(before).behind = behind,
        }
        if behind != NONE {
            lines.size(behind).before = before;
        }
    }
}

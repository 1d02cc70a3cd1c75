//! The lines of the keys: a place for each key that waits, and how lines hang together.

use std::collections::HashMap;

use super::codel::CoDel;
use crate::admission::settings::Class;

/// No node, or no line.
pub(super) const NONE: u32 = u32::MAX;

/// The line of one key in one class.
#[derive(Debug)]
struct Line {
    class: Class,
    key: u64,
    first: u32,
    last: u32,
    len: u32,
    codel: CoDel,
    turn: Links,
    size: Links,
}

/// Neighbours in a ring or list of lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) before: u32,
    pub(super) behind: u32,
}

impl Links {
    pub(super) const LOOSE: Self = Self { before: NONE, behind: NONE };
}

/// All lines in which somebody waits. There are at most as many as there are waiting.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Vec<Line>,
    free: Vec<u32>,
    by_key: HashMap<(Class, u64), u32>,
}

impl Lines {
    pub(super) fn find(&self, class: Class, key: u64) -> Option<u32> {
        // Most upstreams have a single key, or nobody who waits.
        if self.by_key.is_empty() { None } else { self.by_key.get(&(class, key)).copied() }
    }

    pub(super) fn open(&mut self, class: Class, key: u64) -> u32 {
        let line = Line {
            class,
            key,
            first: NONE,
            last: NONE,
            len: 0,
            codel: CoDel::default(),
            turn: Links::LOOSE,
            size: Links::LOOSE,
        };
        let index = self.free.pop().unwrap_or(self.lines.len() as u32);
        match self.lines.get_mut(index as usize) {
            Some(place) => *place = line,
            None => self.lines.push(line),
        }
        self.by_key.insert((class, key), index);
        index
    }

    pub(super) fn close(&mut self, line: u32) {
        let closed = &self.lines[line as usize];
        self.by_key.remove(&(closed.class, closed.key));
        self.free.push(line);
    }

    pub(super) fn len(&self, line: u32) -> u32 {
        self.lines[line as usize].len
    }

    pub(super) fn first(&self, line: u32) -> u32 {
        self.lines[line as usize].first
    }

    pub(super) fn last(&self, line: u32) -> u32 {
        self.lines[line as usize].last
    }

    pub(super) fn codel(&mut self, line: u32) -> &mut CoDel {
        &mut self.lines[line as usize].codel
    }

    /// The node of this index joined, at the front or at the end.
    pub(super) fn joined(&mut self, line: u32, first: bool, index: u32) {
        let line = &mut self.lines[line as usize];
        if first || line.first == NONE {
            line.first = index;
        }
        if !first || line.last == NONE {
            line.last = index;
        }
        line.len += 1;
    }

    /// A node left from between these.
    pub(super) fn left(&mut self, line: u32, before: u32, behind: u32) {
        let line = &mut self.lines[line as usize];
        if before == NONE {
            line.first = behind;
        }
        if behind == NONE {
            line.last = before;
        }
        line.len -= 1;
    }

    /// Where the line stands among those that take turns.
    pub(super) fn turn(&mut self, line: u32) -> &mut Links {
        &mut self.lines[line as usize].turn
    }

    pub(super) fn next_turn(&self, line: u32) -> u32 {
        self.lines[line as usize].turn.behind
    }

    /// Where the line stands among those of the same length.
    pub(super) fn size(&mut self, line: u32) -> &mut Links {
        &mut self.lines[line as usize].size
    }
}

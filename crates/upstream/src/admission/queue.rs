//! Who waits for a place at an upstream, and who gets the next one. No clock, no threads: time comes in.
//!
//! Four classes, most urgent first, each with a floor ([`Class::floor`]). Within a class each key has a line of its own, and lines
//! take turns, one exchange a turn: deficit round robin (Shreedhar, Varghese 1995) where all cost the same, so that a key gets its
//! share of the places however many others wait behind other keys. Everything is O(1) in the number of those who wait, but for the
//! position of a newcomer, which takes as many steps as its own key waits often.

mod classes;
pub(crate) mod codel;
mod lines;

#[cfg(test)]
mod tests;

use classes::Classes;
use codel::Law;
use lines::{Lines, NONE};

use super::refused::{Refused, Waited, Why};
use super::service_rate::ServiceRate;
use super::settings::{Class, QueueSettings, Ticket};

/// Who waits, or has left and not yet been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    index: u32,
    generation: u32,
}

/// Somebody who leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) token: Token,
    /// How it waited.
    pub(crate) waited: Waited,
    /// Why it gets no place; `None` if it does.
    pub(crate) why: Option<Why>,
}

/// One who waits.
#[derive(Debug)]
struct Node<T> {
    generation: u32,
    /// `None` while the node is free.
    value: Option<T>,
    ticket: Ticket,
    arrived_us: u64,
    until_us: u64,
    waited: Waited,
    /// Had a place already, or was called once: is not asked again whether it waited too long.
    returns: bool,
    /// [`NONE`] once it has left.
    line: u32,
    before: u32,
    behind: u32,
}

/// The queue of one upstream. `T` is what belongs to one who waits, until it is collected.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    settings: QueueSettings,
    nodes: Vec<Node<T>>,
    free: Vec<u32>,
    lines: Lines,
    classes: Classes,
    len: u32,
    rate: ServiceRate,
}

impl<T> Queue<T> {
    pub(crate) fn new(settings: QueueSettings) -> Self {
        Self {
            settings,
            nodes: Vec::new(),
            free: Vec::new(),
            lines: Lines::default(),
            classes: Classes::default(),
            len: 0,
            rate: ServiceRate::default(),
        }
    }

    /// Other settings, for those who come from now on.
    pub(crate) fn set(&mut self, settings: QueueSettings) {
        self.settings = settings;
    }

    /// How many wait.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many of a class wait.
    pub(crate) fn len_of(&self, class: Class) -> u32 {
        self.classes.len(class)
    }

    /// How long a newcomer that so many go before would wait, in whole seconds, 1 to 60.
    fn retry_after_s(&self, position: u32, now_us: u64) -> u32 {
        let wait_us = self.rate.time_for(position.saturating_add(1), now_us).unwrap_or(0);
        wait_us.div_ceil(1_000_000).clamp(1, 60) as u32
    }

    /// A newcomer. It joins the end of its key's line, or is refused; where the queue is full, it may take the place of
    /// another, who is then the second part of the answer.
    pub(crate) fn push(
        &mut self,
        ticket: &Ticket,
        now_us: u64,
        value: T,
    ) -> Result<(Token, Option<Left>), Refused> {
        let own = self.lines.find(ticket.class, ticket.key).map_or(0, |line| self.lines.len(line));
        let position = self.classes.before(ticket.class, own);
        let estimated_us = self.rate.time_for(position + 1, now_us);
        let waited = Waited { position, length: self.len, waited_us: 0, estimated_us };
        let refused = |queue: &Self, why| {
            Err(Refused { why, retry_after_s: queue.retry_after_s(position, now_us), waited })
        };
        let may_us = self.may_wait_us(ticket, now_us);
        // Whoever comes first waits in any case: what is known of the rate may be old, and only somebody who waits can show it.
        let too_long = !self.is_empty() && estimated_us.is_some_and(|wait_us| wait_us > may_us);
        if may_us == 0 || too_long {
            return refused(self, Why::WaitTooLong);
        }
        let mut pushed_out = None;
        if self.len >= self.settings.length {
            match self.classes.heaviest_for(ticket.class, own, &self.lines) {
                Some(line) => {
                    pushed_out = Some(self.leave(self.lines.last(line), Some(Why::PushedOut), now_us))
                }
                None => return refused(self, Why::QueueFull),
            }
        }
        let until_us = now_us.saturating_add(may_us);
        let node = Node {
            generation: 0,
            value: Some(value),
            ticket: *ticket,
            arrived_us: now_us,
            until_us,
            waited,
            returns: false,
            line: NONE,
            before: NONE,
            behind: NONE,
        };
        Ok((self.join(node, now_us), pushed_out))
    }

    /// One who had been called, or had a place, and is to be the next of its class. It is always taken: those who return are bounded by the places.
    pub(crate) fn push_back_first(
        &mut self,
        ticket: &Ticket,
        waited: Waited,
        arrived_us: u64,
        now_us: u64,
        value: T,
    ) -> Token {
        let until_us = arrived_us.saturating_add(self.may_wait_us(ticket, arrived_us));
        let node = Node {
            generation: 0,
            value: Some(value),
            ticket: *ticket,
            arrived_us,
            until_us,
            waited,
            returns: true,
            line: NONE,
            before: NONE,
            behind: NONE,
        };
        self.join(node, now_us)
    }

    fn may_wait_us(&self, ticket: &Ticket, from_us: u64) -> u64 {
        let left_us = ticket.deadline_ms.saturating_mul(1000).saturating_sub(from_us);
        self.settings.timeout_ms.saturating_mul(1000).min(left_us)
    }

    /// Who leaves next: the one whose turn it is, with a place; or somebody before it who gets none. `None` when
    /// nobody waits. To be called until it names one who gets a place.
    pub(crate) fn pop(&mut self, now_us: u64) -> Option<Left> {
        let class = self.classes.next()?;
        let line = self.classes.turn(class);
        let index = self.lines.first(line);
        let node = &self.nodes[index as usize];
        if node.until_us <= now_us {
            return Some(self.leave(index, Some(Why::TimedOut), now_us));
        }
        if let (Some(target_ms), false) = (self.settings.target_ms, node.returns) {
            let law = Law { target_us: target_ms * 1000, interval_us: self.settings.interval_ms * 1000 };
            let waited_us = now_us.saturating_sub(node.arrived_us);
            let last = self.lines.len(line) == 1;
            if self.lines.codel(line).refuses(law, waited_us, last, now_us) {
                return Some(self.leave(index, Some(Why::Shed), now_us));
            }
        }
        self.rate.departed(now_us);
        self.classes.served(class, &self.lines);
        Some(self.leave(index, None, now_us))
    }

    /// Takes somebody out who gives up; whether it still waited.
    pub(crate) fn remove(&mut self, token: Token, now_us: u64) -> Option<Left> {
        self.waiting(token)?;
        Some(self.leave(token.index, None, now_us))
    }

    /// Takes somebody out whose time is over; `None` if it has left already.
    pub(crate) fn time_out(&mut self, token: Token, now_us: u64) -> Option<Left> {
        self.waiting(token)?;
        Some(self.leave(token.index, Some(Why::TimedOut), now_us))
    }

    /// How the one of this token was refused, now that it is told.
    pub(crate) fn refusal(&self, why: Why, waited: Waited, now_us: u64) -> Refused {
        Refused { why, retry_after_s: self.retry_after_s(self.len, now_us), waited }
    }

    /// What belongs to one who waits, or has left and was not collected.
    pub(crate) fn value(&mut self, token: Token) -> Option<&mut T> {
        let node = self.nodes.get_mut(token.index as usize)?;
        node.value.as_mut().filter(|_| node.generation == token.generation)
    }

    /// When one who waits gives up, in microseconds.
    pub(crate) fn until_us(&self, token: Token) -> Option<u64> {
        self.nodes
            .get(token.index as usize)
            .filter(|node| node.generation == token.generation)
            .map(|node| node.until_us)
    }

    /// When it came, in microseconds.
    pub(crate) fn arrived_us(&self, token: Token) -> Option<u64> {
        self.nodes
            .get(token.index as usize)
            .filter(|node| node.generation == token.generation)
            .map(|node| node.arrived_us)
    }

    /// Ends with one who has left: its token is of no use afterwards.
    pub(crate) fn collect(&mut self, token: Token) -> Option<T> {
        let node = self.nodes.get_mut(token.index as usize)?;
        if node.generation != token.generation || node.line != NONE {
            return None;
        }
        let value = node.value.take()?;
        node.generation = node.generation.wrapping_add(1);
        self.free.push(token.index);
        Some(value)
    }

    fn waiting(&self, token: Token) -> Option<&Node<T>> {
        let node = self.nodes.get(token.index as usize)?;
        (node.generation == token.generation && node.value.is_some() && node.line != NONE).then_some(node)
    }

    fn join(&mut self, mut node: Node<T>, now_us: u64) -> Token {
        let (class, key, first) = (node.ticket.class, node.ticket.key, node.returns);
        let index = self.free.pop().unwrap_or(self.nodes.len() as u32);
        let line = self.lines.find(class, key).unwrap_or_else(|| {
            let line = self.lines.open(class, key);
            self.classes.open(class, line, &mut self.lines);
            line
        });
        node.line = line;
        let (ends_first, ends_last) = (self.lines.first(line), self.lines.last(line));
        if first {
            node.behind = ends_first;
            self.classes.call(class, line);
        } else {
            node.before = ends_last;
        }
        let (before, behind) = (node.before, node.behind);
        match self.nodes.get_mut(index as usize) {
            Some(place) => {
                node.generation = place.generation;
                *place = node;
            }
            None => self.nodes.push(node),
        }
        self.link(before, behind, index);
        self.lines.joined(line, first, index);
        self.classes.grew(class, line, &mut self.lines);
        if self.len == 0 {
            self.rate.begins(now_us);
        }
        self.len += 1;
        Token { index, generation: self.nodes[index as usize].generation }
    }

    fn link(&mut self, before: u32, behind: u32, index: u32) {
        if before != NONE {
            self.nodes[before as usize].behind = index;
        }
        if behind != NONE {
            self.nodes[behind as usize].before = index;
        }
    }

    fn leave(&mut self, index: u32, why: Option<Why>, now_us: u64) -> Left {
        let node = &mut self.nodes[index as usize];
        let (line, before, behind, class) = (node.line, node.before, node.behind, node.ticket.class);
        (node.line, node.before, node.behind) = (NONE, NONE, NONE);
        node.waited.waited_us = now_us.saturating_sub(node.arrived_us);
        let left = Left { token: Token { index, generation: node.generation }, waited: node.waited, why };
        if before != NONE {
            self.nodes[before as usize].behind = behind;
        }
        if behind != NONE {
            self.nodes[behind as usize].before = before;
        }
        self.lines.left(line, before, behind);
        self.classes.shrank(class, line, &mut self.lines);
        if self.lines.len(line) == 0 {
            self.classes.close(class, line, &mut self.lines);
            self.lines.close(line);
        }
        self.len -= 1;
        if self.len == 0 {
            self.rate.ends();
        }
        left
    }
}

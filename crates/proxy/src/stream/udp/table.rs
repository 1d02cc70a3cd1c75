//! The flows of a listener on one worker.

use std::collections::HashMap;

use super::flow::{Flow, FlowKey};

/// When a place without a flow is due.
const FREE: u64 = u64::MAX;

/// Names a flow as long as it is in the table; not that of another that took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowId {
    slot: u32,
    generation: u32,
}

impl FlowId {
    /// As a number, for the kernel to give back.
    pub(super) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    pub(super) fn from_number(number: u64) -> Self {
        Self { slot: number as u32, generation: (number >> 32) as u32 }
    }
}

/// Flows by client. Bounded by the listener's limits; memory that many flows have taken stays taken.
#[derive(Default)]
pub(super) struct FlowTable {
    by_key: HashMap<FlowKey, u32>,
    flows: Vec<Option<Box<Flow>>>,
    generations: Vec<u32>,
    /// When each ends if it carries nothing before, in the clock's milliseconds: apart from the flows, since a
    /// sweep looks at nothing else of those that stay.
    due_ms: Vec<u64>,
    free: Vec<u32>,
}

impl FlowTable {
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(super) fn find(&self, key: &FlowKey) -> Option<FlowId> {
        let slot = *self.by_key.get(key)?;
        Some(FlowId { slot, generation: self.generations[slot as usize] })
    }

    pub(super) fn get(&mut self, id: FlowId) -> Option<&mut Flow> {
        let slot = id.slot as usize;
        if self.generations.get(slot) != Some(&id.generation) {
            return None;
        }
        self.flows[slot].as_deref_mut()
    }

    /// Which flow the next [`FlowTable::insert`] makes.
    pub(super) fn next_id(&self) -> FlowId {
        let slot = self.free.last().map_or(self.flows.len() as u32, |slot| *slot);
        FlowId { slot, generation: self.generations.get(slot as usize).copied().unwrap_or_default() }
    }

    /// Adds a flow whose key is not there, and that ends at this time.
    pub(super) fn insert(&mut self, flow: Box<Flow>, due_ms: u64) -> FlowId {
        let id = self.next_id();
        let slot = id.slot as usize;
        self.by_key.insert(flow.key, id.slot);
        if self.free.pop().is_none() {
            self.flows.push(None);
            self.generations.push(0);
            self.due_ms.push(FREE);
        }
        self.flows[slot] = Some(flow);
        self.due_ms[slot] = due_ms;
        id
    }

    pub(super) fn remove(&mut self, id: FlowId) -> Option<Box<Flow>> {
        self.get(id)?;
        let slot = id.slot as usize;
        let flow = self.flows[slot].take()?;
        self.by_key.remove(&flow.key);
        self.generations[slot] = id.generation.wrapping_add(1);
        self.due_ms[slot] = FREE;
        self.free.push(id.slot);
        Some(flow)
    }

    /// The flow ends at this time, unless it carries something before.
    pub(super) fn set_due(&mut self, id: FlowId, due_ms: u64) {
        if let Some(due) = self.due_ms.get_mut(id.slot as usize) {
            *due = due_ms;
        }
    }

    /// Makes flows end earlier: after the times that `allowed` says, if that is before they would else.
    pub(super) fn hasten(&mut self, now_ms: u64, allowed: impl Fn(&Flow) -> u64) {
        for (flow, due_ms) in self.flows.iter().zip(&mut self.due_ms) {
            if let Some(flow) = flow {
                *due_ms = (*due_ms).min(now_ms.saturating_add(allowed(flow)));
            }
        }
    }

    /// The flows whose time has come.
    pub(super) fn due(&self, now_ms: u64) -> Vec<FlowId> {
        let due = self.due_ms.iter().enumerate().filter(|(_, due_ms)| **due_ms <= now_ms);
        due.map(|(slot, _)| FlowId { slot: slot as u32, generation: self.generations[slot] }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::FlowId;

    #[test]
    fn an_id_survives_its_number() {
        for (slot, generation) in [(0, 0), (7, 1), (u32::MAX, u32::MAX), (1, u32::MAX)] {
            let id = FlowId { slot, generation };
            assert_eq!(FlowId::from_number(id.number()), id);
        }
    }
}

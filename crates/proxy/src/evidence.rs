//! What the decisions of one exchange depended on: enough to make them again. Gathered only while the flight
//! recorder is on, in buffers that are used again.

use std::sync::Arc;

use crate::decide::session::Bond;

use tollgate_upstream::{Load, Loads, NotedLoads, View};

/// Buffers that grew beyond this are given back instead of being kept.
const KEEP_CAPACITY: usize = 16 * 1024;

/// One question to a balancer, whether it named an endpoint or nobody.
#[derive(Clone, Debug)]
pub struct Pick {
    /// What the worker knew of the upstream.
    pub view: Arc<View>,
    /// The worker's turn.
    pub turn: u64,
    /// The hash of the key that it went by, where it goes by one.
    pub hash: Option<u64>,
    /// What was known of the exchange's session, where it had begun before.
    pub session: Option<Bond>,
    /// Where its counts in flight end among those of the exchange; they begin where the pick before ends.
    pub loads_end: usize,
    /// Endpoints that were tried before do not count as such from here on.
    pub anew: bool,
}

/// What the decisions of one exchange depended on besides its snapshot and seed.
#[derive(Debug, Default)]
pub struct Evidence {
    on: bool,
    head: Vec<u8>,
    picks: Vec<Pick>,
    loads: NotedLoads,
}

impl Evidence {
    /// Begins to gather, with the bytes of the request's head, or of what came instead of one; without any for a
    /// connection, which has none.
    #[inline]
    pub fn begin(&mut self, head: &[u8]) {
        self.on = true;
        self.head.extend_from_slice(head);
    }

    /// Whether anything is gathered.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Where a balancer reads counts in flight.
    #[inline]
    pub fn loads(&self) -> Loads<'_> {
        if self.on { Loads::Noted(&self.loads) } else { Loads::Live }
    }

    /// Notes that a balancer was asked.
    #[inline]
    pub fn asked(
        &mut self,
        view: &Arc<View>,
        turn: u64,
        hash: Option<u64>,
        session: Option<Bond>,
        anew: bool,
    ) {
        if self.on {
            let (view, loads_end) = (View::for_record(view), self.loads.len());
            self.picks.push(Pick { view, turn, hash, session, loads_end, anew });
        }
    }

    /// Forgets the latest question: it was about nobody, and is asked again.
    pub fn forget_latest(&mut self) {
        self.picks.pop();
        let end = self.picks.last().map_or(0, |pick| pick.loads_end);
        self.loads.get_mut().truncate(end);
    }

    /// Forgets a question that led to no attempt, of which there were so many: the exchange goes on elsewhere.
    pub fn forget_beyond(&mut self, attempts: u32) {
        if self.picks.len() > attempts as usize {
            self.forget_latest();
        }
    }

    /// The head's bytes.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The questions to balancers, in their order.
    pub fn picks(&self) -> &[Pick] {
        &self.picks
    }

    /// A copy of the counts in flight that were read.
    pub fn loads_read(&self) -> Vec<Load> {
        self.loads.to_vec()
    }

    /// Makes the buffers ready for another exchange.
    pub fn reset(&mut self) {
        if !self.on {
            return;
        }
        self.on = false;
        self.head.clear();
        self.head.shrink_to(KEEP_CAPACITY);
        self.picks.clear();
        let loads = self.loads.get_mut();
        loads.clear();
        loads.shrink_to(KEEP_CAPACITY / size_of::<Load>());
    }
}

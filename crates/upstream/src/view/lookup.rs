//! What a view holds for balancers that look endpoints up in a table.

use std::sync::Arc;

use super::View;
use crate::balancers::Balancer;
use crate::tables::{Seats, Table};
use crate::upstream::Upstream;

/// The table, and who of those in it are members. Shared with the views of other workers as far as it is the same.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    /// What the table is made of.
    seats: Seats,
    /// `None` in a view that is kept for the record: a table may take megabytes, and can be made again.
    table: Option<Arc<Table>>,
    /// A bit for each endpoint: whether it is a member.
    members: Box<[u64]>,
    /// The same view without its table.
    kept: Option<Arc<View>>,
}

impl Lookup {
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.members) + size_of_val(&*self.seats)
    }
}

impl View {
    /// The view as it may be kept for long: not with a table, of which a thousand old ones would be a lot of memory.
    pub fn for_record(view: &Arc<Self>) -> Arc<Self> {
        let kept = view.lookup.as_ref().and_then(|lookup| lookup.kept.as_ref());
        Arc::clone(kept.unwrap_or(view))
    }

    /// Gets the table for the members, where the balancer wants one.
    pub(super) fn look_up(&mut self, upstream: &Upstream) {
        self.lookup = None;
        let Some((seats, table)) = upstream.balancing().table(upstream.endpoints()) else {
            return;
        };
        let mut members = vec![0u64; self.standings.len().div_ceil(64)].into_boxed_slice();
        for member in &self.members {
            if let Some(word) = members.get_mut(*member as usize / 64) {
                *word |= 1 << (member % 64);
            }
        }
        let lookup = Lookup { seats, table: None, members, kept: None };
        self.lookup = Some(Box::new(lookup));
        let kept = Arc::new(self.clone());
        if let Some(lookup) = &mut self.lookup {
            (lookup.table, lookup.kept) = (Some(table), Some(kept));
        }
    }

    /// Whether an endpoint may be picked, in one step. Only of a view that has a table.
    #[inline]
    pub(crate) fn holds(&self, endpoint: u32) -> bool {
        let word = self.lookup.as_ref().and_then(|lookup| lookup.members.get(endpoint as usize / 64));
        word.is_some_and(|word| word & (1 << (endpoint % 64)) != 0)
    }

    /// Does something with the table; of a view that was kept, with one that is made again. `None` where the view was
    /// never refreshed.
    #[inline]
    pub(crate) fn with_table<T>(&self, balancer: &dyn Balancer, work: impl FnOnce(&Table) -> T) -> Option<T> {
        let lookup = self.lookup.as_ref()?;
        match &lookup.table {
            Some(table) => Some(work(table)),
            None => balancer.table(&lookup.seats).map(|table| work(&table)),
        }
    }
}

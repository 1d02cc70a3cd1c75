//! Sets that policies hold.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use super::AddressSet;

/// The set of a policy: one that stays, or one that follows files.
#[derive(Clone, Debug)]
pub enum Held {
    /// It stays, and costs nothing but the look-up.
    Fixed(Arc<AddressSet>),
    /// It is replaced while the policy is used.
    Followed(Arc<SetCell>),
}

impl Held {
    /// Whether an address is in the set.
    #[inline]
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::Fixed(set) => set.contains(address),
            Self::Followed(cell) => cell.get().contains(address),
        }
    }
}

impl From<Arc<AddressSet>> for Held {
    fn from(set: Arc<AddressSet>) -> Self {
        Self::Fixed(set)
    }
}

/// The set in force. Following files is up to whoever has made it.
#[derive(Debug)]
pub struct SetCell(RwLock<Arc<AddressSet>>);

impl SetCell {
    /// A cell with this set.
    pub fn new(set: Arc<AddressSet>) -> Self {
        Self(RwLock::new(set))
    }

    /// Puts another set into force.
    pub fn set(&self, set: Arc<AddressSet>) {
        // The one before is given back outside of the lock: it may be large.
        let before = std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), set);
        drop(before);
    }

    /// The set in force.
    pub fn get(&self) -> Arc<AddressSet> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

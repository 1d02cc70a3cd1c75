//! What policies count and remember, from one document to the next.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tollgate_policies::limit::rate::Counters;
use tollgate_policy::PolicySeries;
use tollgate_stores::KeyHash;
use tollgate_stores::disk::{QuotaEvent, QuotaSettings, Quotas};
use tollgate_stores::memory::{Concurrency, Table};
use tollgate_stores::redis::Leases;

use super::super::mirrors::CarriedMirrors;
use super::redis::{SharedStore, lease};
use crate::compile::sticky::SessionKey;
use crate::outside::Outside;

/// What policies count and remember, by what the document calls them.
#[derive(Clone, Default)]
pub struct Carried {
    /// By the policy's name and its route's, which is empty where several routes share it.
    series: HashMap<(String, String), Arc<PolicySeries>>,
    /// By the limit's identity, each with the number of keys that it was made for.
    rates: HashMap<String, (u32, Counters)>,
    concurrency: HashMap<String, (u32, Arc<Concurrency>)>,
    hash: Option<Arc<KeyHash>>,
    /// What else outlives a document, by what it was made from.
    kept: HashMap<String, Arc<dyn Any + Send + Sync>>,
    quotas: Option<Arc<Quotas>>,
    /// Where quotas of a Redis are counted while it is down, and forgotten with the process.
    spare_quotas: Option<Arc<Quotas>>,
    /// By their names in the document.
    stores: HashMap<String, Arc<SharedStore>>,
    /// By the limit's name in its store.
    leases: HashMap<String, Leased>,
    /// Signs the sessions that the document has no key for.
    pub session_key: SessionKey,
    outside: Option<Arc<Outside>>,
    mirrors: CarriedMirrors,
    /// Where the process tells what happens; `None` where documents are only looked at.
    live: Option<Say>,
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried").field("kept", &self.kept.keys()).finish_non_exhaustive()
    }
}

/// Units that are taken from a store in advance, and of how many keys.
#[derive(Clone, Debug)]
struct Leased {
    store: Arc<SharedStore>,
    max_keys: u32,
    leases: Leases,
}

/// Tells the operator something, in a line.
pub type Say = fn(&str);

/// Two documents are never told apart by what is counted, but by where: of a store also by what is in the files that
/// it names.
impl PartialEq for Carried {
    fn eq(&self, other: &Self) -> bool {
        let same = |(name, store): (&String, &Arc<SharedStore>)| {
            other.stores.get(name).is_some_and(|other| other.plan == store.plan)
        };
        self.stores.len() == other.stores.len() && self.stores.iter().all(same)
    }
}

impl Carried {
    /// Of a process that begins, and tells what happens by `say`.
    pub fn starting(say: Say) -> Self {
        Self { live: Some(say), ..Self::default() }
    }

    /// The same for a document that is only looked at.
    pub(in crate::compile) fn looking(self) -> Self {
        Self { outside: None, live: None, ..self }
    }

    /// What goes on from the document before even if nothing of the new one asks for it.
    pub(in crate::compile) fn successor(&self) -> Self {
        Self {
            hash: self.hash.clone(),
            quotas: self.quotas.clone(),
            spare_quotas: self.spare_quotas.clone(),
            outside: self.outside.clone(),
            mirrors: self.mirrors.successor(),
            live: self.live,
            session_key: self.session_key.clone(),
            ..Self::default()
        }
    }

    /// What is counted and found of mirrors.
    pub fn mirrors(&self) -> &CarriedMirrors {
        &self.mirrors
    }

    pub(in crate::compile) fn mirrors_mut(&mut self) -> &mut CarriedMirrors {
        &mut self.mirrors
    }

    /// The counters of all policies, each with its name and its route's.
    pub fn all_series(&self) -> impl Iterator<Item = (&str, &str, &PolicySeries)> {
        self.series.iter().map(|((policy, route), series)| (policy.as_str(), route.as_str(), &**series))
    }

    pub(super) fn series(&mut self, before: &Self, policy: &str, route: &str) -> Arc<PolicySeries> {
        let key = (policy.to_owned(), route.to_owned());
        let found = before.series.get(&key).cloned();
        self.series.entry(key).or_insert_with(|| found.unwrap_or_default()).clone()
    }

    /// Something that goes on as long as documents want it: `identity` says of what kind it is and what it is made
    /// from.
    pub(super) fn keep<T: Any + Send + Sync, E>(
        &mut self,
        before: &Self,
        identity: &str,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let known = self.kept.get(identity).or_else(|| before.kept.get(identity)).cloned();
        let kept = match known.and_then(|known| known.downcast::<T>().ok()) {
            Some(kept) => kept,
            None => Arc::new(make()?),
        };
        self.kept.insert(identity.to_owned(), kept.clone());
        Ok(kept)
    }

    /// Where the process tells what happens; nobody where documents are only looked at.
    pub(super) fn say(&self) -> Say {
        self.live.unwrap_or(|_| {})
    }

    /// How keys are hashed in this process.
    pub(super) fn hash(&mut self) -> Arc<KeyHash> {
        self.hash.get_or_insert_with(|| Arc::new(KeyHash::from_machine())).clone()
    }

    /// The store of quotas, in this folder. The folder of a process does not change while it runs. Where a document is
    /// only looked at, nothing is opened: another process may have the file.
    pub(super) fn quotas(&mut self, folder: &Path) -> Result<Arc<Quotas>, String> {
        if let Some(quotas) = &self.quotas {
            return Ok(quotas.clone());
        }
        let opened = match self.live {
            None => Quotas::in_memory(QuotaSettings::default()),
            Some(say) => {
                let failed = |error| format!("cannot make `{}`: {error}", folder.display());
                std::fs::create_dir_all(folder).map_err(failed)?;
                let tell = move |event: QuotaEvent| say(&event.to_string());
                let path = folder.join("quotas.redb");
                Quotas::open(&path, QuotaSettings::default(), tell).map_err(|error| error.to_string())?
            }
        };
        Ok(self.quotas.insert(Arc::new(opened)).clone())
    }

    /// Writes what quotas count to their file and gives that to the next process, which waits for it.
    pub fn release_quotas(&self) {
        // What fails is told where it is written.
        let _ = self.quotas.as_ref().map(|quotas| quotas.release());
    }

    /// Where quotas are counted whose store is down.
    pub(super) fn spare_quotas(&mut self) -> Arc<Quotas> {
        let make = || Arc::new(Quotas::in_memory(QuotaSettings::default()));
        self.spare_quotas.get_or_insert_with(make).clone()
    }

    /// Where the process tells what happens; `None` where documents are only looked at.
    pub(super) fn live(&self) -> Option<Say> {
        self.live
    }

    /// The stores that instances share, by name.
    pub fn stores(&self) -> impl Iterator<Item = (&str, &SharedStore)> {
        self.stores.iter().map(|(name, store)| (name.as_str(), &**store))
    }

    pub(super) fn store(&self, name: &str) -> Option<&Arc<SharedStore>> {
        self.stores.get(name)
    }

    pub(super) fn keep_store(&mut self, name: &str, store: Arc<SharedStore>) {
        self.stores.insert(name.to_owned(), store);
    }

    /// The units of a limit that are taken from its store in advance.
    pub(super) fn leases(
        &mut self,
        before: &Self,
        limit: &str,
        store: &Arc<SharedStore>,
        max_keys: u32,
    ) -> Leases {
        let is_same = |leased: &&Leased| leased.max_keys == max_keys && Arc::ptr_eq(&leased.store, store);
        let found = before.leases.get(limit).filter(is_same).cloned();
        let make = || Leased { store: store.clone(), max_keys, leases: lease(store, max_keys) };
        let leased = self.leases.entry(limit.to_owned()).or_insert_with(|| found.unwrap_or_else(make));
        leased.leases.clone()
    }

    /// All units that are taken in advance, to be given back at the end.
    pub fn all_leases(&self) -> Vec<Leases> {
        self.leases.values().map(|leased| leased.leases.clone()).collect()
    }

    /// Where calls on our own account run.
    pub(super) fn outside(&mut self) -> Result<Arc<Outside>, String> {
        if let Some(outside) = &self.outside {
            return Ok(outside.clone());
        }
        let outside = match self.live {
            None => Outside::still(),
            Some(_) => Outside::start().map_err(|error| format!("cannot start a thread: {error}"))?,
        };
        Ok(self.outside.insert(outside).clone())
    }

    /// The counters of a rate limit.
    pub(super) fn rate(&mut self, before: &Self, identity: &str, max_keys: u32) -> Counters {
        let hash = self.hash();
        let found = before.rates.get(identity).filter(|(keys, _)| *keys == max_keys).cloned();
        let make = || (max_keys, Counters { table: Arc::new(Table::new(max_keys as usize)), hash });
        self.rates.entry(identity.to_owned()).or_insert_with(|| found.unwrap_or_else(make)).1.clone()
    }

    /// The table of a concurrency limit.
    pub(super) fn concurrency(&mut self, before: &Self, identity: &str, max_keys: u32) -> Arc<Concurrency> {
        let found = before.concurrency.get(identity).filter(|(keys, _)| *keys == max_keys).cloned();
        let make = || (max_keys, Concurrency::new(max_keys as usize));
        self.concurrency.entry(identity.to_owned()).or_insert_with(|| found.unwrap_or_else(make)).1.clone()
    }
}

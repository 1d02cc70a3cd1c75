//! Redis, where instances share limits.

use std::time::Duration;

use tokio::task::AbortHandle;
use tollgate_config::{self as config, IfStoreDown, LimitStore, Located, RedisNode, RedisPlace, StoreMode};
use tollgate_policies::limit::{Counter, IfDown, Shared};
use tollgate_stores::redis::{Address, LeaseSettings, Leases, RedisSettings, RedisStore, Topology};

use super::{Compiler, Say};
use crate::compile::tls::ConnectorPlan;

/// How often it is looked whether a store is up, for the log.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a store was made from. The same plan makes the same store.
#[derive(Clone, Debug, PartialEq)]
pub struct StorePlan {
    settings: config::RedisStore,
    tls: Option<ConnectorPlan>,
}

/// A store of the document that runs. When it goes down and when it comes back is told once.
#[derive(Debug)]
pub struct SharedStore {
    pub(super) plan: StorePlan,
    pub(super) store: RedisStore,
    watch: Option<AbortHandle>,
}

impl SharedStore {
    /// Whether it can be asked.
    pub fn is_up(&self) -> bool {
        self.store.problem().is_none()
    }
}

impl Drop for SharedStore {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

/// What a limit says of where it counts.
pub(super) struct Sharing<'c> {
    pub(super) store: &'c LimitStore,
    pub(super) mode: Option<&'c Located<StoreMode>>,
    pub(super) if_down: IfStoreDown,
    /// The limit's name in the store.
    pub(super) limit: String,
    /// Of how many keys units are held at once.
    pub(super) max_keys: u32,
}

impl Sharing<'_> {
    pub(super) fn is_leased(&self) -> bool {
        self.mode.is_some_and(|mode| mode.value == StoreMode::Leased)
    }
}

impl Compiler<'_> {
    /// Makes the stores of the document. Those that stay as they are go on.
    pub(in crate::compile) fn redis_stores(&mut self) {
        let document = self.document;
        for (name, settings) in document.gate.redis.iter() {
            let Some(plan) = self.store_plan(&settings.value) else { continue };
            let same = self.before.carried().store(name.as_str()).filter(|store| store.plan == plan).cloned();
            let store = match same {
                Some(store) => Some(store),
                None => self.start_store(name.as_str(), settings, plan).map(Into::into),
            };
            if let Some(store) = store {
                self.carried.keep_store(name.as_str(), store);
            }
        }
    }

    fn store_plan(&mut self, settings: &config::RedisStore) -> Option<StorePlan> {
        let tls = match (&settings.tls, settings.is_tls()) {
            (Some(tls), _) => Some(self.redis_tls(&tls.value)?),
            (None, true) => {
                Some(ConnectorPlan { roots: None, name: None, identity: None, insecure: false, http2: false })
            }
            (None, false) => None,
        };
        Some(StorePlan { settings: settings.clone(), tls })
    }

    fn redis_tls(&mut self, tls: &config::RedisTls) -> Option<ConnectorPlan> {
        let mut file = |path: &Option<Located<config::FilePath>>| match path {
            Some(path) => self.file(path).map(Some),
            None => Some(None),
        };
        let (roots, cert, key) = (file(&tls.ca), file(&tls.client_cert), file(&tls.client_key));
        let name = tls.name.as_ref();
        let name = name.map(|name| Located { value: name.value.to_string(), origin: name.origin });
        Some(ConnectorPlan { roots: roots?, name, identity: cert?.zip(key?), insecure: false, http2: false })
    }

    fn start_store(
        &mut self,
        name: &str,
        at: &Located<config::RedisStore>,
        plan: StorePlan,
    ) -> Option<SharedStore> {
        let connector = match &plan.tls {
            Some(tls) => Some(self.connector(tls)?),
            None => None,
        };
        let mut settings = store_settings(&plan.settings);
        settings.tls = connector.map(|connector| connector.client_config());
        settings.tls_name = plan.tls.as_ref().and_then(|tls| Some(tls.name.as_ref()?.value.clone()));
        let outside = match self.carried.outside() {
            Ok(outside) => outside,
            Err(problem) => {
                self.diagnostics.push(config::Diagnostic::error(at.origin, problem));
                return None;
            }
        };
        let store = RedisStore::start(settings, outside.handle());
        let watch = self.carried.live().map(|say| {
            let watch = watch(store.clone(), format!("Redis {name}"), say);
            outside.handle().spawn(watch).abort_handle()
        });
        Some(SharedStore { plan, store, watch })
    }

    /// Where a limit counts; `local` makes what counts in this process. `None` after a finding.
    pub(super) fn counter<L>(
        &mut self,
        sharing: &Sharing<'_>,
        local: impl FnOnce(&mut Self) -> Option<L>,
    ) -> Option<Counter<L>> {
        let LimitStore::Redis(name) = sharing.store else { return local(self).map(Counter::Here) };
        let name = name.redis.value.as_str();
        // One that is not there was found by the checks, and one that cannot be made is a finding.
        let shared = self.carried.store(name)?.clone();
        let store = shared.store.clone();
        let leases = sharing
            .is_leased()
            .then(|| self.carried.leases(self.before.carried(), &sharing.limit, &shared, sharing.max_keys));
        let if_down = match sharing.if_down {
            IfStoreDown::Open => IfDown::Open,
            IfStoreDown::Closed => IfDown::Closed,
            IfStoreDown::Local => IfDown::Local(local(self)?),
        };
        let what = format!("Redis {name}");
        Some(Counter::Shared(Shared { what, store, leases, limit: sharing.limit.clone() }, if_down))
    }
}

/// Everything but TLS.
fn store_settings(store: &config::RedisStore) -> RedisSettings {
    let address = |node: &RedisNode| Address { host: node.host().to_owned(), port: node.port() };
    let password = store.password.as_ref().map(|password| password.reveal().to_owned());
    let (topology, database) = match &store.place {
        RedisPlace::Url(url) => (Topology::Single(address(url.node())), url.database()),
        RedisPlace::Sentinel(sentinel) => {
            let nodes = sentinel.nodes.iter().map(|node| address(&node.value)).collect();
            let master = sentinel.master.as_str().to_owned();
            (Topology::Sentinel { master, nodes, password: None }, 0)
        }
        RedisPlace::Cluster(nodes) => {
            (Topology::Cluster(nodes.iter().map(|node| address(&node.value)).collect()), 0)
        }
    };
    RedisSettings {
        username: store.user.as_ref().map(|user| user.as_str().to_owned()),
        password,
        database: i64::from(database),
        timeout: store.timeout.get(),
        ..RedisSettings::new(topology)
    }
}

/// Units of a limit, held of as many keys as it says.
pub(super) fn lease(store: &SharedStore, max_keys: u32) -> Leases {
    let settings = LeaseSettings { max_keys: max_keys as usize, ..LeaseSettings::default() };
    Leases::start(store.store.clone(), settings)
}

/// Tells when a store goes down and when it is back.
async fn watch(store: RedisStore, name: String, say: Say) {
    let mut was_up = true;
    loop {
        match store.problem() {
            Some(problem) if was_up => {
                let (kind, detail) = (problem.kind, &problem.detail);
                say(&format!("{name} is down ({kind}: {detail}): limits do what their `if_store_down` says"));
                was_up = false;
            }
            None if !was_up => {
                say(&format!("{name} is back: limits count there again"));
                was_up = true;
            }
            _ => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

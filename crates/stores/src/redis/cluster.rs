//! Which server of a cluster has which keys.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::{RedisError, Value};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tollgate_runtime::Random;

use super::connect::{Server, ask_once, text};
use super::node::Node;
use super::settings::{Address, RedisSettings, Topology};
use super::unavailable::{Unavailable, UnavailableKind};

/// How many parts the keys are in.
const SLOTS: usize = 16_384;
/// How often the map is read when nothing says that it is stale, and at most, and how long it may take.
const REFRESH_EVERY: Duration = Duration::from_secs(60);
const REFRESH_PAUSE: Duration = Duration::from_millis(100);
const REFRESH_PATIENCE: Duration = Duration::from_millis(500);

/// A cluster: a connection to each master that is known to have keys.
#[derive(Debug)]
pub(super) struct Cluster {
    state: Arc<State>,
    known: watch::Receiver<Known>,
    reader: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    settings: Arc<RedisSettings>,
    runtime: Handle,
    map: RwLock<Map>,
    stale: Notify,
}

/// Whether the map was ever read.
#[derive(Clone, Debug)]
enum Known {
    NotYet,
    Yes,
    No(Unavailable),
}

#[derive(Debug, Default)]
struct Map {
    nodes: HashMap<Address, Arc<Node>>,
    slots: Vec<Option<Arc<Node>>>,
}

/// A run of slots and who has them.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    master: Address,
}

impl Cluster {
    pub(super) fn start(settings: Arc<RedisSettings>, runtime: &Handle) -> Self {
        let state =
            State { settings, runtime: runtime.clone(), map: RwLock::default(), stale: Notify::new() };
        let state = Arc::new(state);
        let (sender, known) = watch::channel(Known::NotYet);
        let reader = runtime.spawn(Arc::clone(&state).keep_reading(sender));
        Self { state, known, reader }
    }

    /// Who has a slot.
    pub(super) async fn node(&self, slot: u16) -> Result<Arc<Node>, Unavailable> {
        let gone = |_| Unavailable::new(UnavailableKind::Unreachable, "the store was closed");
        let known = match &*self.known.borrow() {
            Known::NotYet => None,
            known => Some(known.clone()),
        };
        let known = match known {
            Some(known) => known,
            None => {
                let mut changes = self.known.clone();
                changes.wait_for(|known| !matches!(known, Known::NotYet)).await.map_err(gone)?.clone()
            }
        };
        if let Some(Some(node)) = self.state.map().slots.get(usize::from(slot)) {
            return Ok(Arc::clone(node));
        }
        self.is_stale();
        Err(match known {
            Known::No(problem) => problem,
            _ => Unavailable::new(
                UnavailableKind::Refused,
                format!("no server of the cluster has the slot {slot}"),
            ),
        })
    }

    /// Where an answer says to ask instead.
    pub(super) fn redirected(&self, error: &RedisError) -> Option<Arc<Node>> {
        let (address, slot) = error.redirect_node()?;
        let node = self.state.node_at(Address::parse(address, 6379)?);
        if error.code() == Some("MOVED") {
            let mut map = self.state.map.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = map.slots.get_mut(usize::from(slot)) {
                *place = Some(Arc::clone(&node));
            }
            drop(map);
            self.is_stale();
        }
        Some(node)
    }

    /// Has the map read anew.
    pub(super) fn is_stale(&self) {
        self.state.stale.notify_one();
    }

    pub(super) fn problem(&self) -> Option<Unavailable> {
        match &*self.known.borrow() {
            Known::No(problem) => Some(problem.clone()),
            _ => None,
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl State {
    fn map(&self) -> std::sync::RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn node_at(&self, address: Address) -> Arc<Node> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        self.node_in(&mut map.nodes, address)
    }

    fn node_in(&self, nodes: &mut HashMap<Address, Arc<Node>>, address: Address) -> Arc<Node> {
        let start = || Node::start(Arc::clone(&self.settings), Server::At(address.clone()), &self.runtime);
        Arc::clone(nodes.entry(address.clone()).or_insert_with(start))
    }

    async fn keep_reading(self: Arc<Self>, known: watch::Sender<Known>) {
        let mut random = Random::from_machine();
        loop {
            let pause = match self.read().await {
                Ok(ranges) => {
                    self.apply(&ranges);
                    known.send_replace(Known::Yes);
                    // Whoever waits while this is read again finds the map as it is.
                    let _ = timeout(REFRESH_EVERY, self.stale.notified()).await;
                    REFRESH_PAUSE
                }
                Err(problem) => {
                    known.send_replace(Known::No(problem));
                    REFRESH_PAUSE * 5
                }
            };
            let ms = pause.as_millis() as u64;
            sleep(Duration::from_millis(ms / 2 + random.next_u64() % (ms / 2 + 1))).await;
        }
    }

    /// Asks one server after the other for the map.
    async fn read(&self) -> Result<Vec<Range>, Unavailable> {
        let mut asked: Vec<Address> = self.map().nodes.keys().cloned().collect();
        if let Topology::Cluster(seeds) = &self.settings.topology {
            asked.extend(seeds.iter().cloned());
        }
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let mut problem = Unavailable::new(UnavailableKind::Unreachable, "no server of the cluster is named");
        for address in asked {
            let asking = ask_once(&self.settings, &address, &command);
            match timeout(REFRESH_PATIENCE, asking).await {
                Ok(Ok(value)) => match ranges(&value, &address) {
                    Some(ranges) => return Ok(ranges),
                    None => {
                        let what = format!("{address} is in no cluster, or has no keys yet");
                        problem = Unavailable::new(UnavailableKind::Garbled, what);
                    }
                },
                Ok(Err(error)) => problem = error,
                Err(_) => {
                    problem =
                        Unavailable::new(UnavailableKind::TimedOut, format!("{address} does not answer"));
                }
            }
        }
        Err(problem)
    }

    fn apply(&self, ranges: &[Range]) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let mut nodes = std::mem::take(&mut map.nodes);
        map.slots = vec![None; SLOTS];
        for range in ranges {
            let node = self.node_in(&mut nodes, range.master.clone());
            map.slots[usize::from(range.first)..=usize::from(range.last)].fill(Some(node));
        }
        nodes.retain(|address, _| ranges.iter().any(|range| range.master == *address));
        map.nodes = nodes;
    }
}

/// Reads an answer to CLUSTER SLOTS from `asked`; `None` if it is none or says that nobody has anything.
fn ranges(value: &Value, asked: &Address) -> Option<Vec<Range>> {
    let Value::Array(rows) = value else { return None };
    let row = |row: &Value| {
        let Value::Array(row) = row else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &row[..] else { return None };
        let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
        let [host, Value::Int(port), ..] = &master[..] else { return None };
        // A server that does not know its own name stands for the one that was asked.
        let host = text(host).filter(|host| !host.is_empty()).unwrap_or_else(|| asked.host.clone());
        let master = Address { host, port: u16::try_from(*port).ok()? };
        (first <= last && usize::from(last) < SLOTS).then_some(Range { first, last, master })
    };
    rows.iter().map(row).collect::<Option<Vec<_>>>().filter(|ranges| !ranges.is_empty())
}

/// The slot of a key: of what is between its first braces, as all keys here have them.
pub(super) fn slot(key: &[u8]) -> u16 {
    let tag = || {
        let open = key.iter().position(|byte| *byte == b'{')?;
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    };
    let bytes = tag().unwrap_or(key);
    let crc = bytes.iter().fold(0u16, |crc, byte| crc << 8 ^ CRC[usize::from(crc >> 8) ^ usize::from(*byte)]);
    crc % SLOTS as u16
}

/// CRC-16 of the polynomial 0x1021 (XMODEM), a byte at a time.
const CRC: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{Address, Range, ranges, slot};
    use redis::Value;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}{bar}"), slot(b"foo{}{bar}"));
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"));
    }

    #[test]
    fn maps_are_read_or_refused() {
        let asked = Address { host: "seed".into(), port: 1 };
        let row = |first, last, host: &[u8]| {
            let master = vec![Value::BulkString(host.to_vec()), Value::Int(7000), Value::Nil];
            Value::Array(vec![Value::Int(first), Value::Int(last), Value::Array(master)])
        };
        let good = Value::Array(vec![row(0, 5460, b"a"), row(5461, 16_383, b"")]);
        let expected = [
            Range { first: 0, last: 5460, master: Address { host: "a".into(), port: 7000 } },
            Range { first: 5461, last: 16_383, master: Address { host: "seed".into(), port: 7000 } },
        ];
        assert_eq!(ranges(&good, &asked).unwrap(), expected);
        for bad in [Value::Nil, Value::Array(vec![]), Value::Array(vec![row(5, 16_384, b"a")])] {
            assert_eq!(ranges(&bad, &asked), None, "{bad:?}");
        }
    }
}

//! The buffers of a worker. They are used inside one poll of one connection and never across an
//! await, so that a connection that waits holds none.

use tollgate_message::FieldList;
use tollgate_routing::Scratch as RouteScratch;
use tollgate_runtime::datagrams::{Inbox, Outbox};

/// Room before what is received, so that a rewritten head fits in front of a body that stays where
/// it is.
pub const HEADROOM: usize = 4 * 1024;
/// How much is received at once.
pub const RECEIVE: usize = 64 * 1024;
/// Room behind, for the frame that ends a chunk and a body.
pub const TAILROOM: usize = 16;

/// How many datagrams are received and sent at once.
const BATCH: usize = 32;

/// A worker's buffers. Their sizes are fixed, or bounded by the largest head allowed.
#[derive(Debug)]
pub struct Buffers {
    /// Where bytes are received, behind [`HEADROOM`] and before [`TAILROOM`].
    pub scratch: Box<[u8]>,
    /// A head on its way out.
    pub head: Vec<u8>,
    /// The fields of the head in `scratch`.
    pub fields: FieldList,
    /// A normalised path.
    pub path: Vec<u8>,
    /// A lower-cased host.
    pub host: Vec<u8>,
    /// A rewritten path or location.
    pub rewritten: Vec<u8>,
    /// What route matching needs.
    pub routing: RouteScratch,
    /// Where datagrams are received; made with the first.
    pub datagrams: Option<Box<DatagramBuffers>>,
}

/// Where datagrams are received and sent from. 2 MiB, of which small datagrams touch a page each.
#[derive(Debug)]
pub struct DatagramBuffers {
    /// What was received.
    pub inbox: Inbox,
    /// What of it is to be sent.
    pub outbox: Outbox,
}

impl DatagramBuffers {
    fn new() -> Self {
        Self { inbox: Inbox::new(BATCH), outbox: Outbox::new(BATCH) }
    }
}

impl Buffers {
    /// Fresh buffers.
    pub fn new() -> Self {
        Self {
            scratch: vec![0; HEADROOM + RECEIVE + TAILROOM].into_boxed_slice(),
            head: Vec::with_capacity(4096),
            fields: FieldList::with_capacity(64),
            path: Vec::with_capacity(256),
            host: Vec::with_capacity(256),
            rewritten: Vec::with_capacity(256),
            routing: RouteScratch::default(),
            datagrams: None,
        }
    }

    /// Where datagrams are received.
    pub fn datagrams(&mut self) -> &mut DatagramBuffers {
        self.datagrams.get_or_insert_with(|| Box::new(DatagramBuffers::new()))
    }

    /// Puts bytes at the start of the receiving area and returns where they end.
    pub fn load(&mut self, bytes: &[u8]) -> usize {
        let end = HEADROOM + bytes.len();
        self.scratch[HEADROOM..end].copy_from_slice(bytes);
        end
    }

    /// The part of the receiving area behind `start`.
    pub fn room(&mut self, start: usize) -> &mut [u8] {
        &mut self.scratch[start..HEADROOM + RECEIVE]
    }

    /// The part that a response's head is received into: smaller, since of a large body as little as
    /// possible should come this way instead of being spliced.
    pub fn head_room(&mut self, start: usize) -> &mut [u8] {
        let end = (start + RECEIVE / 2).min(HEADROOM + RECEIVE);
        &mut self.scratch[start..end]
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

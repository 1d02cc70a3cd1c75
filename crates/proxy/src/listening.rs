//! A listener as one worker serves it, from the first snapshot that has it to the last connection that it
//! took.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tollgate_telemetry::shard::ListenerSeries;

use crate::listen::ConnectionLimits;
use crate::snapshot::{Listener, Service};
use crate::worker::{Published, Worker};

/// A listener as one worker serves it. Connections hold it, so that they know what the document says about
/// it now, and hear when it goes.
pub struct Listening {
    worker: Rc<Worker>,
    /// What the workers share of it.
    pub limits: Arc<ConnectionLimits>,
    /// This worker's counters of it.
    pub series: Arc<ListenerSeries>,
    /// How many of its sockets are open.
    pub accepts: Cell<u32>,
    settings: RefCell<Arc<Listener>>,
    closing_since: Cell<Option<u64>>,
    last: RefCell<Option<Rc<Published>>>,
}

impl Listening {
    /// A listener of the snapshot in force.
    pub fn new(
        worker: Rc<Worker>,
        settings: Arc<Listener>,
        limits: Arc<ConnectionLimits>,
        series: Arc<ListenerSeries>,
    ) -> Rc<Self> {
        Rc::new(Self {
            worker,
            limits,
            series,
            accepts: Cell::new(0),
            settings: RefCell::new(settings),
            closing_since: Cell::new(None),
            last: RefCell::new(None),
        })
    }

    /// The worker that serves it. Connections reach it through here, which keeps them small.
    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// Whether its clients may speak HTTP/2.
    pub fn speaks_http2(&self) -> bool {
        matches!(&self.settings.borrow().service, Service::Http(http) if http.versions.http2)
    }

    /// Counts an exchange that begins on one of its connections.
    pub fn exchange_begins(&self) {
        if self.worker.counts {
            self.series.begun.add(1);
        }
    }

    /// Counts an exchange that has ended.
    pub fn exchange_ended(&self) {
        if self.worker.counts {
            self.series.ended.add(1);
        }
    }

    /// What the document says about it; where it has gone, what the last one said.
    pub fn settings(&self) -> Ref<'_, Arc<Listener>> {
        self.settings.borrow()
    }

    /// When it went, in the clock's milliseconds; `None` while it is in the snapshot in force.
    pub fn closing_since(&self) -> Option<u64> {
        self.closing_since.get()
    }

    /// A new snapshot has it.
    pub fn adopt(&self, settings: Arc<Listener>) {
        *self.settings.borrow_mut() = settings;
    }

    /// The snapshot that its settings belong to: the one in force, or where it has gone the last that had it.
    pub fn published(&self) -> Rc<Published> {
        self.last.borrow().clone().unwrap_or_else(|| self.worker.published())
    }

    /// The new snapshot does not have it; `last` is the one before.
    pub fn close(&self, now_ms: u64, last: Rc<Published>) {
        self.closing_since.set(Some(now_ms));
        *self.last.borrow_mut() = Some(last);
    }
}

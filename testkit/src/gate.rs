//! Letting one thread wait for another.

use std::sync::{Arc, Condvar, Mutex};

use crate::PATIENCE;

/// A gate that is closed until somebody opens it, then open for good.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everybody through.
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until the gate is open.
    pub fn wait(&self) {
        let opened = self.0.0.lock().unwrap();
        let (opened, _) = self.0.1.wait_timeout_while(opened, PATIENCE, |open| !*open).unwrap();
        assert!(*opened, "a gate was not opened in {PATIENCE:?}");
    }
}

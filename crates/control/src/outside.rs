//! Where calls run that Tollgate makes on its own account for policies: to identity providers, authorisation
//! services, shared stores.

use std::sync::{Arc, OnceLock};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tollgate_runtime::process::in_background;

/// A thread with a runtime for such calls. It ends with the last one who holds this.
#[derive(Debug)]
pub struct Outside {
    handle: Handle,
    /// Dropped with this, which the thread waits for.
    _end: Option<oneshot::Sender<()>>,
}

impl Outside {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Where the system gives no thread or no descriptors.
    pub fn start() -> std::io::Result<Arc<Self>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        in_background("outside", move || {
            // It ends when the sender goes, and that is all that it says.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Arc::new(Self { handle, _end: Some(end) }))
    }

    /// A runtime in which nothing ever runs: documents that are only looked at ask nobody anything.
    pub fn still() -> Arc<Self> {
        static STILL: OnceLock<Option<Runtime>> = OnceLock::new();
        let runtime = STILL.get_or_init(|| Builder::new_current_thread().enable_all().build().ok());
        let handle = runtime.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone());
        Arc::new(Self { handle, _end: None })
    }

    /// The runtime.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

#[cfg(test)]
mod tests {
    use super::Outside;

    #[test]
    fn what_is_given_to_it_runs_and_what_is_given_to_the_still_one_does_not() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let still = Outside::still();
        let first = sender.clone();
        still.handle().spawn(async move { first.send("still") });
        let outside = Outside::start().unwrap();
        outside.handle().spawn(async move { sender.send("runs") });
        assert_eq!(receiver.recv(), Ok("runs"));
    }
}

//! The stages of many exchanges at once.
//!
//! What is ready when a worker wakes is a batch: requests that came and responses that came. Taken one by one, each
//! would be received, understood and sent on before the next is looked at. A worker does it in stages instead: first
//! it receives and understands all of them, then it sends all of them on. Whoever receives them on the same machine
//! is woken once for many instead of for each, which is the dearest part of a short exchange; and the same code runs
//! many times in a row. An exchange that is alone loses nothing but a turn of an empty queue: no system call comes
//! between two stages.

use std::future::poll_fn;
use std::task::Poll;

/// The largest response that waits for the next stage, as it is written, in bytes: it is copied for that. A larger one
/// is sent at once from where it was received.
pub const STAGED_MAX: usize = 4096;

/// The next stage: when everything else that is ready has had its turn.
pub fn next() -> impl Future<Output = ()> {
    let mut waited = false;
    poll_fn(move |cx| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::next;

    #[test]
    fn everything_that_is_ready_is_received_before_anything_is_sent() {
        let runtime = tokio::runtime::Builder::new_current_thread().build_local(Default::default()).unwrap();
        let done = Rc::new(RefCell::new(Vec::new()));
        runtime.block_on(async {
            let exchange = |number| {
                let done = done.clone();
                tokio::task::spawn_local(async move {
                    done.borrow_mut().push(("received", number));
                    next().await;
                    done.borrow_mut().push(("sent", number));
                })
            };
            for task in [exchange(1), exchange(2), exchange(3)] {
                task.await.unwrap();
            }
        });
        let order: Vec<_> = ["received", "sent"].iter().flat_map(|w| (1..4).map(move |n| (*w, n))).collect();
        assert_eq!(*done.borrow(), order);
    }
}

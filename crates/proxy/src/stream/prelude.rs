//! What a connection begins with before anybody is spoken to for it.

use std::future::poll_fn;
use std::task::{Context, Poll};

use tollgate_decision::Reason;
use tollgate_runtime::TimerKey;

use crate::buffers::HEADROOM;
use crate::socket::Socket;
use crate::worker::Worker;

/// Receives until `read` makes something of what has come, or the timer's deadline passes. What was received stays
/// in `received`, which is bounded by what `read` wants: it must not ask for more without end.
pub async fn receive<T>(
    worker: &Worker,
    socket: &mut Socket,
    timer: TimerKey,
    received: &mut Vec<u8>,
    mut read: impl FnMut(&[u8]) -> Option<T>,
) -> Result<T, Reason> {
    poll_fn(|cx| poll(cx, worker, socket, timer, received, &mut read)).await
}

fn poll<T>(
    cx: &mut Context<'_>,
    worker: &Worker,
    socket: &mut Socket,
    timer: TimerKey,
    received: &mut Vec<u8>,
    read: &mut impl FnMut(&[u8]) -> Option<T>,
) -> Poll<Result<T, Reason>> {
    worker.clock.refresh();
    loop {
        if let Some(understood) = read(received) {
            return Poll::Ready(Ok(understood));
        }
        let mut buffers = worker.buffers.borrow_mut();
        let room = buffers.room(HEADROOM);
        match socket.poll_recv(cx, room) {
            Poll::Ready(Ok(count)) if count > 0 => received.extend_from_slice(&room[..count]),
            Poll::Ready(_) => return Poll::Ready(Err(Reason::ClientClosed)),
            Poll::Pending => break,
        }
    }
    let mut wheel = worker.wheel.borrow_mut();
    wheel.register(timer, cx.waker());
    match wheel.is_due(timer, worker.clock.now_ms()) {
        true => Poll::Ready(Err(Reason::PreludeTimeout)),
        false => Poll::Pending,
    }
}

//! What the benchmark asks of the kernel: sockets, epoll, pinning, and the books kept on other processes.

pub(crate) mod accounting;
pub(crate) mod epoll;
pub(crate) mod pinning;
pub(crate) mod sockets;

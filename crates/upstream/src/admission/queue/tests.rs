//! The order of the queue, its bounds, and that nobody is lost.

//! Where limits count: memory, disk, Redis.

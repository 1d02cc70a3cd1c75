//! Expressions over a request (CEL): checked when loaded, bounded when evaluated.

//! What the server does wrong when it is told to.

/// Something that a client of an ACME server has to live with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    /// Refuses the nonce of a signed request, good as it is.
    BadNonce,
    /// Answers any request with 503 and these seconds in `Retry-After`, in no format of ACME.
    Unavailable {
        /// Seconds.
        retry_after: u64,
    },
    /// Answers a new order with `rateLimited` and these seconds in `Retry-After`.
    RateLimited {
        /// Seconds.
        retry_after: u64,
    },
    /// The order becomes invalid when it is finalized.
    OrderInvalid,
    /// The certificate is ready only when the order was looked at this often.
    Slow {
        /// How often.
        looks: usize,
    },
    /// Closes the connection of any request without an answer.
    Hangup,
    /// Keeps the client of any request waiting for as long as its connection lives.
    Silence,
    /// Hands out a certificate for another key than the one that was asked for.
    WrongKey,
}

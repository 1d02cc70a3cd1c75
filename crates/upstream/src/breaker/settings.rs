//! What the document says about a circuit breaker.

/// When an upstream is spared, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// The share of failures that opens the circuit, in percent; 0 for never.
    pub error_percent: u32,
    /// Slow responses that open the circuit; `None` for none.
    pub slow: Option<SlowSettings>,
    /// Exchanges in the window below which nothing opens the circuit.
    pub min_requests: u32,
    /// How far back is looked, in milliseconds.
    pub window_ms: u64,
    /// For how long the circuit stays open, in milliseconds. Each time in a row it is twice as long.
    pub open_ms: u64,
    /// For how long at most, in milliseconds.
    pub max_open_ms: u64,
    /// How many exchanges try the upstream afterwards, at most at once and successfully in all, before the circuit closes.
    pub trials: u32,
    /// Whether it only tells what it would have done.
    pub shadow: bool,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            error_percent: 50,
            slow: None,
            min_requests: 20,
            window_ms: 10_000,
            open_ms: 30_000,
            max_open_ms: 300_000,
            trials: 5,
            shadow: false,
        }
    }
}

/// When slow responses open the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowSettings {
    /// A response that takes longer is slow, in milliseconds.
    pub over_ms: u64,
    /// The share of slow ones that opens the circuit, in percent.
    pub percent: u32,
}

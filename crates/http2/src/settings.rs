//! What may be set about connections. Sizes are bytes.

/// Settings of connections from clients.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// How many streams a client may have open at once.
    pub max_concurrent_streams: u32,
    /// How much of a request's body a client may send before it is taken.
    pub initial_stream_window: u32,
    /// The same for all streams of a connection together; this is the most that is ever held for one.
    pub initial_connection_window: u32,
    /// The largest frame that a client may send, 16384 at least.
    pub max_frame_size: u32,
    /// The largest request head, as text.
    pub max_head_size: usize,
    /// The most fields of a request head, each crumb of a cookie counted.
    pub max_fields: usize,
    /// The most trailer bytes of a request, as text.
    pub max_trailers_size: usize,
    /// How much of a response waits in the connection for the client to take it, for each stream.
    pub max_send_buffer: usize,
    /// Whether WebSockets are offered by the extended CONNECT (RFC 8441).
    pub extended_connect: bool,
    /// How much of what is abused in attacks a client may do.
    pub guards: GuardSettings,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 128,
            initial_stream_window: 256 * 1024,
            initial_connection_window: 1024 * 1024,
            max_frame_size: 16 * 1024,
            max_head_size: 32 * 1024,
            max_fields: 100,
            max_trailers_size: 8 * 1024,
            max_send_buffer: 64 * 1024,
            extended_connect: true,
            guards: GuardSettings::default(),
        }
    }
}

/// A budget that refills: so many at once, so many a second in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many at once.
    pub burst: u32,
    /// How many a second come back.
    pub per_second: u32,
}

/// Budgets of one connection for what a client seldom does and an attack often.
#[derive(Clone, Debug)]
pub struct GuardSettings {
    /// Streams that the client resets as soon as it has opened them (CVE-2023-44487).
    pub rapid_resets: Rate,
    /// How young a stream is, in milliseconds, whose reset is a rapid one. A client that keeps its streams
    /// for longer cannot have more requests served than its number of streams lets it have anyway, and may
    /// have a deadline that has passed.
    pub rapid_reset_age_ms: u64,
    /// Streams that the client makes Tollgate reset (CVE-2025-8671).
    pub provoked_resets: Rate,
    /// Streams that are refused or malformed from their start, which never become a request.
    pub rejected_streams: Rate,
    /// Heads with too many or too large fields.
    pub oversized_heads: Rate,
    /// Frames that carry no message: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA and unknown ones.
    /// Responses that the client takes give some back, since a client has reason to answer them.
    pub idle_frames: Rate,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self {
            rapid_resets: Rate { burst: 12, per_second: 10 },
            rapid_reset_age_ms: 50,
            provoked_resets: Rate { burst: 12, per_second: 2 },
            rejected_streams: Rate { burst: 128, per_second: 10 },
            oversized_heads: Rate { burst: 8, per_second: 1 },
            idle_frames: Rate { burst: 500, per_second: 50 },
        }
    }
}

/// Settings of connections to endpoints.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// How many streams are opened at once on a connection, where the endpoint allows as many.
    pub max_streams: usize,
    /// How much of a response's body an endpoint may send before it is taken.
    pub initial_stream_window: u32,
    /// The same for all streams of a connection together.
    pub initial_connection_window: u32,
    /// The largest frame that an endpoint may send, 16384 at least.
    pub max_frame_size: u32,
    /// The largest response head, as text.
    pub max_head_size: usize,
    /// The most trailer bytes of a response, as text.
    pub max_trailers_size: usize,
    /// How much of a request waits in the connection for the endpoint to take it, for each stream.
    pub max_send_buffer: usize,
    /// Whether the connection is one with TLS: the `:scheme` of its requests.
    pub https: bool,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            max_streams: 100,
            initial_stream_window: 256 * 1024,
            initial_connection_window: 4 * 1024 * 1024,
            max_frame_size: 16 * 1024,
            max_head_size: 32 * 1024,
            max_trailers_size: 8 * 1024,
            max_send_buffer: 64 * 1024,
            https: false,
        }
    }
}

//! What clients may send, and how long Tollgate waits for them.

use crate::section::{section, words};
use crate::setting::{Switch, Whole};
use crate::source::Located;
use crate::units::{Duration, Size};

section! {
    /// What a client (and for response heads an upstream) may send at most.
    pub struct Limits {
        /// The head of a request: request line and all header lines.
        head_size: Size<1024, 65_536> = default(Size::kib(32));
        /// Header lines of a request.
        fields: Whole<1, 256> = default(Whole::of::<100>());
        /// The request target: path and query.
        target_size: Located<Size<64, 65_536>> = default(Located::nowhere(Size::kib(8)));
        /// The body of a request.
        body_size: Switch<Size> = default(Switch::Off);
        /// The head of an upstream's response.
        response_head_size: Size<1024, 65_536> = default(Size::kib(32));
        /// Requests on one connection; the connection is closed politely after the last.
        requests_per_connection: Switch<Whole<1, { u32::MAX }>> = default(Switch::Off);
    }
}

section! {
    /// How long Tollgate waits for a client.
    pub struct ClientTimeouts {
        /// For the whole head of a request, from its first byte.
        head: Duration<1> = default(Duration::seconds(10));
        /// Between two reads of a request's body.
        body: Duration<1> = default(Duration::seconds(30));
        /// For the next request on a connection that is kept open.
        idle: Duration<1> = default(Duration::seconds(60));
        /// For a client to take some of a response.
        write: Duration<1> = default(Duration::seconds(30));
    }
}

section! {
    /// How paths are normalised before they are matched.
    pub struct Paths {
        /// Treats `//` as `/`.
        merge_slashes: bool = default(true);
        /// What to do with `%2F` in a path, which some upstreams take for a `/`.
        encoded_slash: EncodedSlash = default(EncodedSlash::Refuse);
    }
}

words! {
    /// What to do with `%2F` in a path.
    pub enum EncodedSlash {
        /// Answers 400.
        Refuse = "refuse";
        /// Leaves it as it is; it does not separate path elements.
        Keep = "keep";
    }
}

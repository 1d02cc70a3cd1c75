//! What a message says about its connection (RFC 9112 section 9, RFC 9110 section 7.6.1).

use tollgate_message::{Fields, Known, Version};

use crate::encode::Removed;

/// The options of a message's `Connection` fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// `close` is among them.
    pub close: bool,
    /// `keep-alive` is among them.
    pub keep_alive: bool,
    /// `upgrade` is among them.
    pub upgrade: bool,
    /// Other fields are named, which must not be forwarded.
    pub names_fields: bool,
}

impl ConnectionOptions {
    /// Reads the options of a head.
    pub fn of(fields: &Fields<'_>) -> Self {
        let mut options = Self::default();
        if !fields.has(Known::Connection) {
            return options;
        }
        for option in tokens(fields) {
            if option.eq_ignore_ascii_case(b"close") {
                options.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                options.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                options.upgrade = true;
            } else {
                options.names_fields = true;
            }
        }
        options
    }

    /// Whether the sender of the message will keep the connection open (RFC 9112 section 9.3).
    pub fn persists(self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// Marks the fields that `Connection` names for removal. The fields that carry the message itself
/// cannot be named away: a request without its length or host would be another request.
pub fn remove_named(fields: &Fields<'_>, removed: &mut Removed) {
    for option in tokens(fields) {
        for (index, (name, _, known)) in fields.iter().enumerate() {
            let carries = matches!(known, Known::Host | Known::ContentLength | Known::TransferEncoding);
            if !carries && name.eq_ignore_ascii_case(option) {
                removed.insert(index);
            }
        }
    }
}

fn tokens<'a>(fields: &Fields<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let values = fields.all(Known::Connection);
    values.flat_map(|v| v.split(|b| *b == b',')).map(<[u8]>::trim_ascii).filter(|t| !t.is_empty())
}

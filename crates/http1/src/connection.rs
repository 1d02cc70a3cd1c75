//! What a message says about its connection (RFC 9112 section 9, RFC 9110 section 7.6.1).

use tollgate_message::{Fields, Known, Version};

use crate::encode::Removed;

/// How many options a message's `Connection` fields may have. Each is looked for among all fields, so
/// without a bound a head full of options would cost a hundred times what another of its size does.
const OPTIONS_MAX: usize = 64;

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
    /// There are more options than anybody needs; the message is to be refused.
    pub too_many: bool,
}

impl ConnectionOptions {
    /// Reads the options of a head.
    pub fn of(fields: &Fields<'_>) -> Self {
        let mut options = Self::default();
        if !fields.has(Known::Connection) {
            return options;
        }
        for (index, option) in tokens(fields).enumerate() {
            if index == OPTIONS_MAX {
                options.too_many = true;
                break;
            }
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
/// cannot be named away: a request without its length or host would be another request. Nor can
/// `Upgrade`, which is always named and has rules of its own.
pub fn remove_named(fields: &Fields<'_>, removed: &mut Removed) {
    for option in tokens(fields) {
        for (index, (name, _, known)) in fields.iter().enumerate() {
            let carries = matches!(
                known,
                Known::Host | Known::ContentLength | Known::TransferEncoding | Known::Upgrade
            );
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeadLimits, Progress, request};
    use tollgate_message::FieldList;

    /// The options of a head, and which of its fields they remove, by index.
    fn read(fields: &str) -> (ConnectionOptions, Vec<usize>) {
        let text = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        let mut list = FieldList::default();
        let Ok(Progress::Complete(line)) = request::parse(text.as_bytes(), &HeadLimits::default(), &mut list)
        else {
            panic!("refused: {text:?}");
        };
        let fields = line.view(text.as_bytes(), &list).fields;
        let mut removed = Removed::default();
        remove_named(&fields, &mut removed);
        (ConnectionOptions::of(&fields), (0..fields.len()).filter(|i| removed.contains(*i)).collect())
    }

    #[test]
    fn named_fields_go_but_for_those_that_carry_the_message() {
        let (options, removed) = read(
            "Host: a\r\nX-A: 1\r\nConnection: x-a, HOST, Content-Length\r\nContent-Length: 1\r\nx-A: 2\r\n",
        );
        assert!(options.names_fields && !options.close);
        assert_eq!(removed, [1, 4]);
    }

    #[test]
    fn an_upgrade_stays_whatever_else_is_named() {
        let (options, removed) =
            read("Host: a\r\nConnection: X-A, Upgrade\r\nUpgrade: websocket\r\nX-A: 1\r\n");
        assert!(options.upgrade && options.names_fields);
        assert_eq!(removed, [3]);
    }

    #[test]
    fn options_without_end_are_noticed() {
        let options =
            |count: usize| read(&format!("Host: a\r\nConnection: {}\r\n", vec!["x"; count].join(","))).0;
        assert!(!options(OPTIONS_MAX).too_many);
        assert!(options(OPTIONS_MAX + 1).too_many);
        assert!(options(10_000).too_many);
    }
}

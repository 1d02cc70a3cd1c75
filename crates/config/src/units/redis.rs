//! Where Redis or Valkey is.

use std::fmt;
use std::str::FromStr;

use super::address::EndpointAddress;
use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// The port of Redis.
const USUAL_PORT: u16 = 6379;

/// A node: `host:port`; 6379 if the port is left out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RedisNode(EndpointAddress);

impl RedisNode {
    /// The host: a name in lower case, or an IP address without brackets.
    pub fn host(&self) -> &str {
        self.0.host()
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.0.port()
    }
}

impl FromStr for RedisNode {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.contains(['/', '@', '?', '#']) {
            // It may be a URL with a password.
            return Err(ValueError::mend("this is not a node of Redis", "write `host:port`"));
        }
        let bracketed = text.ends_with(']');
        let with_port = text.rsplit_once(':').is_some() && !bracketed;
        let text = if with_port { text.to_owned() } else { format!("{text}:{USUAL_PORT}") };
        text.parse().map(Self)
    }
}

impl fmt::Display for RedisNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RedisNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    RedisNode,
    "a node of Redis",
    Shape::pattern("Redis node", r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$"),
    suspect | text | text.contains('@')
);

/// One Redis: `redis://host:port`, with `/3` for its third database; `rediss://` is over TLS. User and password have
/// keys of their own.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RedisUrl {
    node: RedisNode,
    tls: bool,
    database: u32,
}

impl RedisUrl {
    /// Host and port.
    pub fn node(&self) -> &RedisNode {
        &self.node
    }

    /// Whether it is `rediss://`.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The number of the database.
    pub fn database(&self) -> u32 {
        self.database
    }
}

impl FromStr for RedisUrl {
    type Err = ValueError;

    // What is wrong may hold a password, so no message repeats it.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (tls, rest) = match text.split_once("://") {
            Some(("redis", rest)) => (false, rest),
            Some(("rediss", rest)) => (true, rest),
            _ => {
                let mend = "write `redis://host:6379`, or `rediss://host:6379` for TLS";
                return Err(ValueError::mend("this is not the URL of a Redis", mend));
            }
        };
        if rest.contains('@') {
            let mend = "write `user` and `password` beside `url`";
            return Err(ValueError::mend("a URL here has no user and no password", mend));
        }
        let (node, path) = rest.split_once('/').unwrap_or((rest, ""));
        let database = match path {
            "" => 0,
            number => match number.parse::<u16>() {
                Ok(database) if number.bytes().all(|byte| byte.is_ascii_digit()) => u32::from(database),
                _ => {
                    let mend = "write `redis://host:6379/0`";
                    return Err(ValueError::mend("the number of the database is not understood", mend));
                }
            },
        };
        Ok(Self { node: node.parse()?, tls, database })
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "rediss" } else { "redis" }, self.node)?;
        if self.database > 0 { write!(f, "/{}", self.database) } else { Ok(()) }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    RedisUrl,
    "the URL of a Redis",
    Shape::pattern("Redis URL", r"^rediss?://[^/@?#\s]+(/[0-9]{1,5})?$"),
    suspect | text | text.contains(['@', '?'])
);

#[cfg(test)]
mod tests {
    use super::RedisUrl;

    #[test]
    fn urls_are_read_or_refused_without_their_passwords() {
        for (text, shown) in [
            ("redis://Cache", "redis://cache:6379"),
            ("redis://127.0.0.1:7000/2", "redis://127.0.0.1:7000/2"),
            ("rediss://[::1]", "rediss://[::1]:6379"),
            ("rediss://[::1]:1/0", "rediss://[::1]:1"),
        ] {
            let url: RedisUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.to_string(), shown);
            assert_eq!(shown.parse(), Ok(url));
        }
        for (text, part) in [
            ("cache:6379", "write `redis://host:6379`"),
            ("http://cache", "write `redis://host:6379`"),
            ("redis://:hunter2@cache", "beside `url`"),
            ("redis://cache/x", "number of the database"),
            ("redis://cache?password=hunter2", "host:port"),
            ("redis://cache:0", "port 0"),
            ("redis://", "neither a host name"),
        ] {
            let error = text.parse::<RedisUrl>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}

//! Where Redis is, and how to be let in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo};

/// A host (name or address, an IPv6 address without brackets) and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The name or the address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Reads `host`, `host:port` or `[address]:port`; `None` if it is neither. Without a port it is `default_port`.
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => match rest.split_once(']')? {
                (host, "") => (host, None),
                (host, port) => (host, Some(port.strip_prefix(':')?)),
            },
            None => match text.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => (text, None),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = port.map_or(Some(default_port), |port| port.parse().ok())?;
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// How many servers there are, and who says where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One.
    Single(Address),
    /// A master with replicas, which the sentinels know.
    Sentinel {
        /// The name under which they know the master.
        master: String,
        /// The sentinels, any of which is asked.
        nodes: Vec<Address>,
        /// The password of the sentinels, where they have one.
        password: Option<String>,
    },
    /// Many, each with a part of the keys; these are asked for the others.
    Cluster(Vec<Address>),
}

/// All that has to be known to use Redis.
#[derive(Clone)]
pub struct RedisSettings {
    /// Where it is.
    pub topology: Topology,
    /// The user, if it is not the default one.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The number of the database. A cluster has only 0.
    pub database: i64,
    /// With it all connections are TLS; sentinels included.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The name that certificates must have; the host of each server if there is none.
    pub tls_name: Option<String>,
    /// What all keys begin with.
    pub prefix: String,
    /// How long a decision may take, everything included.
    pub timeout: Duration,
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the secrets.
        let Self { topology, database, prefix, timeout, .. } = self;
        write!(
            f,
            "RedisSettings({topology:?}, {database}, {prefix}, {timeout:?}, tls: {})",
            self.tls.is_some()
        )
    }
}

/// A URL that is none of a Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlError(String);

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UrlError {}

impl RedisSettings {
    /// Settings for `topology`, everything else as usual: no password, database 0, no TLS, 20 ms.
    pub fn new(topology: Topology) -> Self {
        Self {
            topology,
            username: None,
            password: None,
            database: 0,
            tls: None,
            tls_name: None,
            prefix: "tollgate:".to_owned(),
            timeout: Duration::from_millis(20),
        }
    }

    /// Reads `redis://[user[:password]@]host[:port][/database]`, and says whether it was `rediss`, which needs
    /// [`RedisSettings::tls`]. `valkey` and `valkeys` are the same.
    ///
    /// # Errors
    ///
    /// If it is no such URL. The error does not repeat it, since it may hold a password.
    pub fn from_url(url: &str) -> Result<(Self, bool), UrlError> {
        let parts = url.split_once("://").ok_or_else(|| UrlError("it has no scheme".to_owned()))?;
        let (is_tls, rest) = match parts {
            ("redis" | "valkey", rest) => (false, rest),
            ("rediss" | "valkeys", rest) => (true, rest),
            _ => return Err(UrlError("its scheme is not `redis` or `rediss`".to_owned())),
        };
        // TLS is ours, so the library need not know of it.
        let info = format!("redis://{rest}").into_connection_info();
        let info = info
            .map_err(|_| UrlError("it is not redis://[user[:password]@]host[:port][/database]".to_owned()))?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err(UrlError("it has no host".to_owned()));
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let mut settings = Self::new(Topology::Single(Address { host, port: *port }));
        settings.username = info.redis_settings().username().map(str::to_owned);
        settings.password = info.redis_settings().password().map(str::to_owned);
        settings.database = info.redis_settings().db();
        Ok((settings, is_tls))
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, RedisSettings, Topology};

    #[test]
    fn urls() {
        let (settings, tls) = RedisSettings::from_url("rediss://al%40ice:p%2Fw@[::1]:7000/3").unwrap();
        assert!(tls);
        assert_eq!(settings.topology, Topology::Single(Address { host: "::1".into(), port: 7000 }));
        assert_eq!(
            (settings.username.as_deref(), settings.password.as_deref()),
            (Some("al@ice"), Some("p/w"))
        );
        assert_eq!(settings.database, 3);
        assert!(!format!("{settings:?}").contains("p/w"));
        let (settings, tls) = RedisSettings::from_url("redis://cache").unwrap();
        assert_eq!(settings.topology, Topology::Single(Address { host: "cache".into(), port: 6379 }));
        assert!(!tls && settings.password.is_none());
        for bad in ["", "cache:6379", "http://cache", "redis://", "redis://cache:port", "redis://c/x"] {
            assert!(RedisSettings::from_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        let parse = |text: &str| Address::parse(text, 6379).map(|address| address.to_string());
        assert_eq!(parse("a").as_deref(), Some("a:6379"));
        assert_eq!(parse("a:1").as_deref(), Some("a:1"));
        assert_eq!(parse("::1").as_deref(), Some("[::1]:6379"));
        assert_eq!(parse("[::1]:7").as_deref(), Some("[::1]:7"));
        assert_eq!((parse(""), parse(":7"), parse("a:x"), parse("[::1")), (None, None, None, None));
    }
}

//! Redis or Valkey, where instances share limits.

use crate::section::{choice, section};
use crate::setting::NonEmpty;
use crate::source::Located;
use crate::units::{Duration, FieldValue, FilePath, HostPattern, RedisNode, RedisUrl, Secret};

section! {
    /// A Redis or Valkey, where instances share limits.
    pub struct RedisStore {
        /// Where it is.
        place: RedisPlace = choice;
        /// How long it may take to answer. After that it counts as down, and requests wait no longer.
        timeout: Duration<1> = default(Duration::millis(20));
        /// The user, where there are several.
        user: Option<FieldValue> = optional;
        /// The password.
        password: Option<Secret> = optional;
        /// TLS to the nodes; with `url`, `rediss://` says the same.
        tls: Option<Located<Box<RedisTls>>> = optional;
    }
}

choice! {
    /// Where a Redis is.
    pub enum RedisPlace {
        /// One Redis: `redis://host:6379`, `rediss://host:6379` for TLS.
        Url("url"): Located<RedisUrl>;
        /// The master that Sentinels know.
        Sentinel("sentinel"): Box<RedisSentinel>;
        /// A Redis Cluster: some of its nodes, from which the others are found.
        Cluster("cluster"): NonEmpty<Located<RedisNode>>;
    }
}

section! {
    /// Sentinels.
    pub struct RedisSentinel {
        /// What they call the master.
        master: FieldValue = required;
        /// The Sentinels.
        nodes: NonEmpty<Located<RedisNode>> = required;
    }
}

section! {
    /// TLS to Redis. Certificates are verified.
    pub struct RedisTls {
        /// The authorities that may have issued the certificates of the nodes, PEM; those of the system if left out.
        ca: Option<Located<FilePath>> = optional;
        /// The name that the certificates must have; the node's host if left out.
        name: Option<Located<HostPattern>> = optional;
        /// Tollgate's own certificate with the chain behind it, PEM, if the nodes ask for one.
        client_cert: Option<Located<FilePath>> = optional;
        /// Its private key.
        client_key: Option<Located<FilePath>> = optional;
    }
}

impl RedisStore {
    /// Whether the nodes are spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some() || matches!(&self.place, RedisPlace::Url(url) if url.is_tls())
    }
}

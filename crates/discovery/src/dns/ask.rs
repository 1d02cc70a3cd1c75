//! Single questions, as the source asks them.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// IPv4 addresses.
    V4,
    /// IPv6 addresses.
    V6,
    /// Services.
    Service,
}

/// A record of a service (SRV).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// Its tier; the lowest number comes first.
    pub priority: u16,
    /// The host, with a dot at its end; only that dot means that there is no service.
    pub target: String,
    /// The port on it.
    pub port: u16,
    /// Its share within the tier.
    pub weight: u16,
}

/// What a question was answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Addresses, for the kinds that ask for them.
    pub addresses: Vec<IpAddr>,
    /// Services, for the kind that asks for them.
    pub services: Vec<Service>,
    /// The shortest time to live among them and the aliases that led there, in seconds.
    pub ttl_s: u32,
}

/// Why there are no records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A name server says that there is no such name, or nothing of this kind.
    Nothing,
    /// It could not be learned; why.
    Failed(String),
}

/// A question under way.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Records, Asked>> + Send + 'a>>;

/// Who answers questions. Tests bring their own.
pub trait Ask: fmt::Debug + Send + Sync {
    /// The names that a name may stand for, each with a dot at its end, in the order in which they are tried.
    fn names(&self, name: &str) -> Vec<String>;

    /// The addresses of a host that are known without asking; all there are.
    fn known(&self, host: &str) -> Vec<IpAddr>;

    /// Asks for a name that ends in a dot. Ends after a bounded time.
    fn ask<'a>(&'a self, name: &'a str, kind: Kind) -> Asking<'a>;
}

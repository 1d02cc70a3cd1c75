//! The addresses of a host, of both families.

use std::net::IpAddr;

use super::ask::{Ask, Asked, Kind, Records};

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// All.
    #[default]
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Whether an address is one of them.
    pub(crate) fn has(self, ip: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
        }
    }
}

/// What was learned of a host.
#[derive(Debug)]
pub(super) struct Addresses {
    /// Its addresses; at least one.
    pub(super) ips: Vec<IpAddr>,
    /// How long they hold, in seconds.
    pub(super) ttl_s: u32,
    /// A family of which nothing could be learned, and why.
    pub(super) unknown: Option<(Family, String)>,
}

/// Asks for the addresses of a host by one name after the other, until one has any. A name whose addresses could not
/// be learned ends the search: whether the next one is meant is not known.
pub(super) async fn addresses(
    ask: &dyn Ask,
    host: &str,
    names: &[String],
    family: Family,
) -> Result<Addresses, Asked> {
    let known: Vec<_> = ask.known(host).into_iter().filter(|ip| family.has(*ip)).collect();
    if !known.is_empty() {
        return Ok(Addresses { ips: known, ttl_s: u32::MAX, unknown: None });
    }
    for name in names {
        match both(ask, name, family).await {
            Err(Asked::Nothing) => {}
            answer => return answer,
        }
    }
    Err(Asked::Nothing)
}

async fn both(ask: &dyn Ask, name: &str, family: Family) -> Result<Addresses, Asked> {
    let half = async |wanted: Family, kind: Kind| match family {
        Family::Any => ask.ask(name, kind).await,
        family if family == wanted => ask.ask(name, kind).await,
        _ => Err(Asked::Nothing),
    };
    let (v4, v6) = tokio::join!(half(Family::V4, Kind::V4), half(Family::V6, Kind::V6));
    let found = |Records { addresses, ttl_s, .. }, unknown| {
        if addresses.is_empty() {
            return Err(Asked::Nothing);
        }
        Ok(Addresses { ips: addresses, ttl_s, unknown })
    };
    match (v4, v6) {
        (Ok(v4), Ok(mut v6)) => {
            v6.addresses.splice(0..0, v4.addresses);
            found(Records { ttl_s: v4.ttl_s.min(v6.ttl_s), ..v6 }, None)
        }
        (Ok(v4), Err(Asked::Nothing)) => found(v4, None),
        (Err(Asked::Nothing), Ok(v6)) => found(v6, None),
        (Ok(v4), Err(Asked::Failed(why))) => found(v4, Some((Family::V6, why))),
        (Err(Asked::Failed(why)), Ok(v6)) => found(v6, Some((Family::V4, why))),
        (Err(Asked::Nothing), Err(Asked::Nothing)) => Err(Asked::Nothing),
        // The other family has nothing, but this one may.
        (Err(Asked::Failed(why)), Err(_)) | (Err(Asked::Nothing), Err(Asked::Failed(why))) => {
            Err(Asked::Failed(why))
        }
    }
}

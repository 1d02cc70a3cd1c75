//! Listeners and what concerns all connections.

use crate::section::{section, words};
use crate::setting::{Many, Whole};
use crate::source::Located;
use crate::units::{Cidr, Duration, ListenAddress, Name, Secret};

section! {
    /// A socket that takes traffic.
    pub struct Listener short "address" {
        /// `:8080` for all addresses of the machine, `127.0.0.1:8080`, `[::1]:8080`, also with `http://`.
        address: Located<ListenAddress> = required;
        /// What logs and metrics call it; the address if left out.
        name: Option<Located<Name>> = optional;
        /// Connections open at once; more are answered 503 and closed. No limit if left out.
        max_connections: Option<Whole<1, 10_000_000>> = optional;
        /// Connections open at once from one client address; more are answered 429 and closed. No limit if left out.
        max_connections_per_address: Option<Whole<1, 10_000_000>> = optional;
        /// Wakes Tollgate only when a new connection has sent something (TCP_DEFER_ACCEPT).
        defer_accept: bool = default(false);
        /// Proxies in front of this listener, instead of the document's `trusted_proxies`.
        trusted_proxies: Option<Many<Located<Cidr>>> = optional;
    }
}

section! {
    /// The admin API. Whoever has its token or can open its socket can see and change everything.
    pub struct Admin {
        /// A TCP address for metrics and health, and with a `token` for the whole API.
        listen: Option<Located<ListenAddress>> = optional;
        /// The path of the admin API's unix socket, which only Tollgate's own user can open. The default
        /// place if left out.
        socket: Option<Located<String>> = optional;
        /// What a client of `listen` sends as `Authorization: Bearer`. If left out, `listen` serves metrics and health
        /// only.
        token: Option<Located<Secret>> = optional;
    }
}

words! {
    /// Which headers tell the upstream who the client is.
    pub enum Forwarded {
        /// `X-Forwarded-For`, `-Proto` and `-Host`.
        XForwarded = "x_forwarded";
        /// `Forwarded` (RFC 7239).
        Rfc7239 = "rfc7239";
        /// Both families.
        Both = "both";
        /// None; those that came in are dropped unless their sender is trusted.
        None = "none";
    }
}

section! {
    /// How a stop goes: wait `delay` while still accepting, stop accepting, wait `grace` for what is running.
    pub struct Shutdown {
        /// How long open exchanges may take to finish.
        grace: Duration = default(Duration::seconds(30));
        /// How long to go on accepting after readiness has failed, for load balancers in front to notice.
        delay: Duration = default(Duration::seconds(0));
    }
}

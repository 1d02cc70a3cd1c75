//! What concerns the process as a whole.

use crate::section::{section, words};
use crate::source::Located;
use crate::units::{Duration, ListenAddress, Secret};

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
        /// How long tunnels (WebSocket and other upgraded connections, CONNECT, TCP) may live on; as long as
        /// `grace` if left out.
        tunnel_grace: Option<Duration> = optional;
        /// How long to go on accepting after readiness has failed, for load balancers in front to notice.
        delay: Duration = default(Duration::seconds(0));
    }
}

impl Shutdown {
    /// How long tunnels may live on.
    pub fn tunnels(&self) -> Duration {
        self.tunnel_grace.unwrap_or(self.grace)
    }
}

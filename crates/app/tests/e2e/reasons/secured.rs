//! TLS with clients and with endpoints.

use std::sync::LazyLock;

use tollgate_decision::Reason;
use tollgate_testkit::{Authority, Client, Issued, Origin, TlsClient, TlsOrigin, Tollgate, Versions, Wanted};

use super::{Provoke, Row, There};

/// Authorities and certificates that all rows share.
pub(super) struct Papers {
    authority: Authority,
    shop: Issued,
    bank: Issued,
    late: Issued,
    origin: Issued,
}

pub(super) static PAPERS: LazyLock<Papers> = LazyLock::new(|| {
    let authority = Authority::new("Test CA");
    Papers {
        shop: authority.issue("shop", &["shop.example"]),
        bank: authority.issue("bank", &["bank.example"]),
        late: authority.make("late", &Wanted::client("late").days(-10, -1)),
        origin: authority.issue("origin", &["origin.example"]),
        authority,
    }
});

impl Papers {
    /// Puts the files in the places of `{shop}`, `{bank}` and `{ca}`.
    pub(super) fn fill(&self, document: &str) -> String {
        let ca = self.authority.roots().display().to_string();
        let named = [("{shop}", self.shop.yaml()), ("{bank}", self.bank.yaml()), ("{ca}", ca)];
        named.iter().fold(document.to_owned(), |document, (name, value)| document.replace(name, value))
    }

    fn client(&self, name: &str) -> TlsClient {
        TlsClient::new(&self.authority, name)
    }
}

const PLAIN: &str = "listen: { address: \"127.0.0.1:0\", name: web, tls: { certificates: {shop} } }\nroutes: [{ path: /, respond: 204 }]\n";
const CLIENTS: &str = "listen: { address: \"127.0.0.1:0\", name: web, tls: { certificates: {shop}, client_certificates: { ca: \"{ca}\", mode: required } } }\nroutes: [{ path: /, respond: 204 }]\n";
const TO_TLS: &str = "upstreams: { api: { endpoints: [\"{origin}\"], tls: { ca: \"{ca}\", name: origin.example } } }\nroutes: [{ name: all, path: /, to: api, retry: none }]\n";
const GET: &str = "GET /cart HTTP/1.1\r\nHost: bank.example\r\n\r\n";

impl Row {
    /// A handshake that fails.
    const fn shaken(
        reason: Reason,
        document: &'static str,
        provoke: fn(&Tollgate),
        cause: &'static [&'static str],
    ) -> Self {
        Self {
            reason,
            document,
            there: There::Nobody,
            provoke: Provoke::Shaking(provoke),
            cause,
            told: &["listener web", "was to begin with a TLS handshake"],
        }
    }
}

/// Each names the listener, the name that was asked for, and the setting.
pub(super) const ROWS: &[Row] = &[
    Row::shaken(
        Reason::TlsHandshakeFailed,
        "listen: { address: \"127.0.0.1:0\", name: web, tls: { certificates: {shop}, min_version: \"1.3\" } }\nroutes: [{ path: /, respond: 204 }]\n",
        |tollgate| {
            let client = TlsClient::made(&PAPERS.authority, "shop.example", Versions::Tls12, None);
            client.refusal(tollgate.address());
        },
        &[
            "No common TLS version",
            "the listener web: the client asked for `shop.example`",
            "tls.min_version of the listener web is 1.3",
        ],
    ),
    Row::shaken(
        Reason::TlsHandshakeTimeout,
        "listen: { address: \"127.0.0.1:0\", name: web, tls: { certificates: {shop}, handshake_timeout: 200ms } }\nroutes: [{ path: /, respond: 204 }]\n",
        |tollgate| drop(Client::connect(tollgate.address()).ending()),
        &["did not end in time, on the listener web", "tls.handshake_timeout of the listener web is 200ms"],
    ),
    Row::shaken(
        Reason::NoCertificate,
        "listen: { address: \"127.0.0.1:0\", name: web, tls: { certificates: {shop}, unknown_names: refuse } }\nroutes: [{ path: /, respond: 204 }]\n",
        |tollgate| drop(PAPERS.client("other.example").refusal(tollgate.address())),
        &[
            "no certificate for the name",
            "the listener web: the client asked for `other.example`",
            "tls.unknown_names of the listener web is refuse",
        ],
    ),
    Row::shaken(
        Reason::AlpnMismatch,
        PLAIN,
        |tollgate| drop(PAPERS.client("shop.example").alpn(&["spdy/3"]).refusal(tollgate.address())),
        &[
            "offered no protocol that is spoken here",
            "the client asked for `shop.example`",
            "protocols of the listener web allows h2 and http/1.1",
        ],
    ),
    Row::shaken(
        Reason::ClientCertificateMissing,
        CLIENTS,
        |tollgate| drop(PAPERS.client("shop.example").refusal(tollgate.address())),
        &[
            "showed no certificate",
            "the client asked for `shop.example`",
            "tls.client_certificates.mode of the listener web is required",
        ],
    ),
    Row::shaken(
        Reason::ClientCertificateRefused,
        CLIENTS,
        |tollgate| {
            let late = Some(&PAPERS.late);
            let client = TlsClient::made(&PAPERS.authority, "shop.example", Versions::Both, late);
            client.refusal(tollgate.address());
        },
        &[
            "The certificate has expired",
            "the client asked for `shop.example`",
            "tls.client_certificates.ca of the listener web",
        ],
    ),
    Row {
        reason: Reason::Misdirected,
        document: "listen: { address: \"127.0.0.1:0\", name: web, tls: { certificates: [{shop}, {bank}] } }\nroutes: [{ path: /, respond: 204 }]\n",
        there: There::Nobody,
        provoke: Provoke::Doing(|tollgate| {
            let mut client = PAPERS.client("shop.example").connect(tollgate.address());
            client.request(GET).get("x-request-id").map(str::to_owned)
        }),
        cause: &[
            "another certificate",
            "the listener web: the connection was opened for `shop.example`",
            "`Host: bank.example`",
        ],
        told: &["ended with 421 from Tollgate"],
    },
    Row {
        reason: Reason::HttpsRedirect,
        document: "listen: { address: \"127.0.0.1:0\", name: web, redirect_https: 8443 }\nroutes: [{ path: /, respond: 204 }]\n",
        there: There::Nobody,
        provoke: Provoke::Sending(GET),
        cause: &["sends plain requests to https", "redirect_https of the listener web sends to port 8443"],
        told: &["ended with 308 from Tollgate"],
    },
    Row {
        reason: Reason::UpstreamTlsFailed,
        document: TO_TLS,
        there: There::Origin(|| Origin::start(|connection| drop(connection.bytes(1)))),
        provoke: Provoke::Sending(GET),
        cause: &["in the middle of the handshake", "{origin} of api, the only attempt"],
        told: &["route       all"],
    },
    Row {
        reason: Reason::UpstreamCertificateRefused,
        document: TO_TLS,
        there: There::Origin(|| Origin::start_secured(&TlsOrigin::new(&PAPERS.bank), |_| {})),
        provoke: Provoke::Sending(GET),
        cause: &[
            "The certificate is not for this name: {origin} of api, the only attempt",
            "tls.ca of the upstream api",
            "tls.name",
        ],
        told: &["route       all"],
    },
    Row {
        reason: Reason::UpstreamAlpnMismatch,
        document: "upstreams: { api: { endpoints: [\"{origin}\"], protocol: h2, tls: { ca: \"{ca}\", name: origin.example } } }\nroutes: [{ name: all, path: /, to: api, retry: none }]\n",
        there: There::Origin(|| {
            Origin::start_secured(&TlsOrigin::new(&PAPERS.origin).alpn(&["http/1.1"]), |_| {})
        }),
        provoke: Provoke::Sending(GET),
        cause: &[
            "did not agree to the upstream's protocol: {origin} of api",
            "The setting protocol of the upstream api",
        ],
        told: &["route       all"],
    },
];

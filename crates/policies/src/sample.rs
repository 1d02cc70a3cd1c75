//! Requests for tests: a head as it comes over the wire, and all that a policy is asked with.

use std::net::IpAddr;

use tollgate_http1::{HeadLimits, Progress, request};
use tollgate_message::{BodyLength, FieldList, Fields, Known, Version};
use tollgate_policy::{Asked, Connection, Consumers, Gate, Mode, Moment, Policy, Verdict};

/// A request. Its fields can be changed before it is asked about.
pub(crate) struct Sample {
    head: Vec<u8>,
    list: FieldList,
    line: request::RequestLine,
    pub(crate) tls: bool,
    pub(crate) client: IpAddr,
    pub(crate) peer: IpAddr,
    pub(crate) route: &'static str,
    consumers: Consumers,
}

impl Sample {
    /// A request of this request line and these fields, each with its line end; over TLS.
    pub(crate) fn new(line: &str, fields: &str) -> Self {
        let host = if fields.to_ascii_lowercase().contains("host:") { "" } else { "Host: a.example\r\n" };
        let head = format!("{line} HTTP/1.1\r\n{host}{fields}\r\n").into_bytes();
        let limits = HeadLimits { head_size: 1 << 20, fields: 256, target_size: 1 << 20 };
        let mut list = FieldList::default();
        let parsed = request::parse(&head, &limits, &mut list);
        let Ok(Progress::Complete(line)) = parsed else { panic!("{line} {fields}: {parsed:?}") };
        let address = IpAddr::from([192, 0, 2, 1]);
        let consumers = Consumers::default();
        Self { head, list, line, tls: true, client: address, peer: address, route: "r", consumers }
    }

    /// All that a policy sees of it.
    pub(crate) fn asked(&self) -> Asked<'_> {
        let head = self.line.view(&self.head, &self.list);
        let cut = head.target.iter().position(|byte| *byte == b'?').unwrap_or(head.target.len());
        let authority = head.fields.get(Known::Host).unwrap_or_default();
        let length = head.fields.get(Known::ContentLength).and_then(|l| std::str::from_utf8(l).ok());
        let body = match length.and_then(|length| length.parse().ok()) {
            Some(0) | None if !head.fields.has(Known::TransferEncoding) => BodyLength::None,
            Some(length) => BodyLength::Known(length),
            None => BodyLength::Chunked,
        };
        Asked {
            method: head.method,
            method_bytes: head.method_bytes,
            fields: Fields::new(&self.head, &self.list),
            host: authority,
            authority,
            path: &head.target[..cut],
            query: head.target.get(cut + 1..),
            body,
            connection: Connection {
                listener: "l",
                client: self.client,
                peer: self.peer,
                version: Version::Http11,
                tls: self.tls,
                server_name: None,
                certificate: None,
            },
            route: self.route,
            request_id: b"id",
            moment: Moment::default(),
            consumers: &self.consumers,
            mode: Mode::Serve,
        }
    }

    /// Asks a policy about it.
    pub(crate) fn ask(&self, policy: &impl Policy) -> (Verdict, Gate) {
        let mut gate = Gate::default();
        let verdict = policy.decide(&self.asked(), &mut gate, None);
        (verdict, gate)
    }
}

/// The lines of a gate's changes to the response, defaults and all.
pub(crate) fn response(gate: &Gate) -> String {
    let mut lines = gate.response.lines().to_vec();
    gate.response.write_defaults(&mut lines, |_| false);
    String::from_utf8(lines).unwrap()
}

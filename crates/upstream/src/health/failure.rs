//! What speaks against an endpoint: failed attempts, and answers that are errors of the server.

use std::fmt;

use tollgate_decision::Reason;

/// A failed attempt that speaks against its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made.
    Connect,
    /// No connection was made in time.
    ConnectTimeout,
    /// The connection ended before the response began.
    Reset,
    /// The response did not begin in time.
    FirstByteTimeout,
    /// The response is one of 500 to 599.
    Status(u16),
    /// The call of gRPC ended with this status, which stands for a 5xx.
    GrpcStatus(u8),
}

/// Which of the counts of failures in a row a failure belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// There was no answer: seen from here.
    Local,
    /// The answer says that it cannot serve: 502, 503 or 504.
    Gateway,
    /// Another 5xx.
    Server,
}

impl Failure {
    /// The failure that a response status stands for: all 5xx are.
    #[inline]
    pub fn from_status(status: u16) -> Option<Self> {
        matches!(status, 500..=599).then_some(Self::Status(status))
    }

    /// The failure that a status of gRPC stands for: those that the gRPC specification and Envoy map to 5xx.
    pub fn from_grpc_status(status: u8) -> Option<Self> {
        grpc_as_http(status).map(|_| Self::GrpcStatus(status))
    }

    /// The failure that the end of an attempt stands for; `None` where the endpoint is not to blame for it.
    pub fn from_reason(reason: Reason) -> Option<Self> {
        match reason {
            Reason::ConnectFailed
            | Reason::UpstreamTlsFailed
            | Reason::UpstreamCertificateRefused
            | Reason::UpstreamAlpnMismatch => Some(Self::Connect),
            Reason::ConnectTimeout => Some(Self::ConnectTimeout),
            Reason::UpstreamClosed => Some(Self::Reset),
            Reason::FirstByteTimeout | Reason::TryTimeout => Some(Self::FirstByteTimeout),
            _ => None,
        }
    }

    pub(crate) fn origin(self) -> Origin {
        let status = match self {
            Self::Connect | Self::ConnectTimeout | Self::Reset | Self::FirstByteTimeout => {
                return Origin::Local;
            }
            Self::Status(status) => status,
            Self::GrpcStatus(status) => grpc_as_http(status).unwrap_or(500),
        };
        if matches!(status, 502..=504) { Origin::Gateway } else { Origin::Server }
    }
}

/// The 5xx that a status of gRPC stands for, if it is one of a server that does not work. UNIMPLEMENTED is 501 in
/// that table too, as a method that is not there may be all that was asked for.
fn grpc_as_http(status: u8) -> Option<u16> {
    match status {
        // UNKNOWN, INTERNAL, DATA_LOSS.
        2 | 13 | 15 => Some(500),
        // DEADLINE_EXCEEDED.
        4 => Some(504),
        // UNIMPLEMENTED.
        12 => Some(501),
        // UNAVAILABLE.
        14 => Some(503),
        _ => None,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("could not be connected to"),
            Self::ConnectTimeout => f.write_str("did not accept a connection in time"),
            Self::Reset => f.write_str("closed the connection before it answered"),
            Self::FirstByteTimeout => f.write_str("did not begin its answer in time"),
            Self::Status(status) => write!(f, "answered {status}"),
            Self::GrpcStatus(status) => write!(f, "answered with gRPC status {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Origin};
    use tollgate_decision::Reason;

    #[test]
    fn server_errors_are_failures_and_some_of_them_are_of_gateways() {
        let failures: Vec<u16> = (0..1000).filter(|s| Failure::from_status(*s).is_some()).collect();
        assert_eq!(failures, (500..600).collect::<Vec<_>>());
        let gateway = |status: &u16| {
            Failure::from_status(*status).is_some_and(|failure| failure.origin() == Origin::Gateway)
        };
        assert_eq!((0..1000).filter(gateway).collect::<Vec<_>>(), [502, 503, 504]);
    }

    #[test]
    fn statuses_of_grpc_are_failures_where_they_stand_for_server_errors() {
        let failures: Vec<u8> = (0..=255).filter(|s| Failure::from_grpc_status(*s).is_some()).collect();
        assert_eq!(failures, [2, 4, 12, 13, 14, 15]);
        assert_eq!(Failure::GrpcStatus(14).origin(), Origin::Gateway);
        assert_eq!(Failure::GrpcStatus(13).origin(), Origin::Server);
    }

    #[test]
    fn clients_faults_do_not_speak_against_an_endpoint() {
        use tollgate_decision::Side;
        for reason in Reason::ALL {
            assert!(Failure::from_reason(*reason).is_none() || reason.side() == Side::Upstream, "{reason:?}");
        }
    }
}

//! gRPC: which calls a route is for, and the health protocol.

use crate::section::{choice, section};
use crate::source::Located;
use crate::units::{GrpcName, HostPattern, Regex};

section! {
    /// The gRPC calls that a route is for, as the Gateway API's GRPCRoute matches them: `POST` with the content type
    /// `application/grpc`. Without keys, all of them.
    pub struct GrpcMatch short "service" {
        /// The service with its package: `shop.Orders`. All services if left out.
        service: Option<Located<NameMatch>> = optional;
        /// The method: `Create`. All methods if left out.
        method: Option<Located<NameMatch>> = optional;
    }
}

choice! {
    /// How the name of a service or method is matched. A text alone must be the whole name.
    pub enum NameMatch short Exact {
        /// The whole name, case included.
        Exact("exact"): GrpcName;
        /// A regular expression for the whole name.
        Regex("regex"): Regex;
    }
}

section! {
    /// A probe by the gRPC health protocol (`grpc.health.v1.Health/Check`).
    pub struct GrpcProbe {
        /// The service to ask about; empty for the endpoint as a whole.
        service: String = default(String::new());
        /// The `:authority` of the call; the endpoint's address if left out.
        authority: Option<HostPattern> = optional;
    }
}

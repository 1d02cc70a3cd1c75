//! Envoy's external authorisation service (`envoy.service.auth.v3.Authorization`): what it is asked and what it says.

pub mod messages;

use std::future::Future;

use crate::grpc::{CallError, GrpcClient};

pub use messages::{CheckRequest, CheckResponse};

/// Its only method.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Asks whether a request may pass. What the answer means is told by [`CheckResponse::verdict`].
///
/// # Errors
/// The service cannot be asked, or failed.
pub fn check(
    client: &GrpcClient,
    request: &CheckRequest,
) -> impl Future<Output = Result<CheckResponse, CallError>> + Send + 'static {
    client.call(CHECK, request)
}

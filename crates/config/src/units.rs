//! Values of one text each: durations, sizes, percentages, addresses, names, and what HTTP allows.

mod acme;
mod address;
mod cidr;
mod collector;
mod duration;
mod file;
mod grpc;
mod host;
mod http;
mod https;
mod name;
mod path;
mod percent;
mod secret;
mod size;

pub use acme::{DirectoryUrl, Email};
pub use address::{EndpointAddress, ListenAddress};
pub use cidr::Cidr;
pub use collector::CollectorUrl;
pub use duration::Duration;
pub use file::FilePath;
pub use grpc::GrpcName;
pub use host::HostPattern;
pub use http::{FieldValue, HeaderName, MethodName, Scheme, StatusRange};
pub use https::HttpAddress;
pub use name::Name;
pub use path::{PathPattern, QueryName, Regex};
pub use percent::Percent;
pub(crate) use secret::SEALED;
pub use secret::{EditValue, Secret, SecretFile};
pub use size::Size;

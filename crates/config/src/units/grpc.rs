//! Names of gRPC services and methods.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// The name of a gRPC service, with its package (`shop.Orders`), or of a method (`Create`). Names have a case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrpcName(Box<str>);

impl GrpcName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GrpcName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if text.len() <= 1024
            && text.bytes().all(allowed)
            && !text.is_empty()
            && !text.starts_with(['.', '-'])
        {
            return Ok(Self(text.into()));
        }
        let mend = match text.trim_start_matches('/').split_once('/') {
            Some((service, method)) if !service.is_empty() && !method.is_empty() => {
                format!("write `service: {service}` and `method: {method}`")
            }
            _ => "write one like `shop.Orders` for a service and `Create` for a method".to_owned(),
        };
        Err(ValueError::mend(format!("`{text}` is not the name of a gRPC service or method"), mend))
    }
}

impl fmt::Display for GrpcName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GrpcName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    GrpcName,
    "the name of a gRPC service or method",
    Shape::pattern("gRPC name", r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,1023}$")
);

#[cfg(test)]
mod tests {
    use super::GrpcName;

    #[test]
    fn names_are_read_or_refused_with_the_mend() {
        for text in ["shop.Orders", "Create", "_x", "grpc.health.v1.Health"] {
            assert!(text.parse::<GrpcName>().is_ok(), "{text}");
        }
        for (text, part) in [
            ("/shop.Orders/Create", "write `service: shop.Orders` and `method: Create`"),
            ("", "write one like"),
            (".a", "write one like"),
            ("a b", "write one like"),
        ] {
            let error = text.parse::<GrpcName>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}

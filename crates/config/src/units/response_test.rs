//! Responses that are told apart by their status, or by the status of the gRPC call that they end.

use std::fmt;
use std::str::FromStr;

use super::StatusRange;
use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;
use crate::suggest::nearest;

/// The names of the statuses of gRPC calls, by their numbers.
const CALLS: [&str; 17] = [
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// Some responses: `503`, `502-504`, `5xx`, or the status of a gRPC call by its name: `unavailable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseTest {
    /// By status.
    Status(StatusRange),
    /// By the number of a call's status.
    Call(u8),
}

impl FromStr for ResponseTest {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            return text.parse().map(Self::Status);
        }
        let name = text.to_ascii_lowercase();
        match CALLS.iter().position(|known| *known == name) {
            Some(number) => Ok(Self::Call(number as u8)),
            None => {
                let mend = match nearest(&name, CALLS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => {
                        "write a status like `503` or `502-504`, or one of a gRPC call like `unavailable`"
                            .into()
                    }
                };
                let message = format!("`{text}` is neither a status nor the name of one of a gRPC call");
                Err(ValueError::mend(message, mend))
            }
        }
    }
}

impl fmt::Display for ResponseTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(range) => range.fmt(f),
            Self::Call(number) => f.write_str(CALLS.get(usize::from(*number)).unwrap_or(&"unknown")),
        }
    }
}

text_setting!(
    ResponseTest,
    "a status or the name of one of a gRPC call",
    Shape::Text(crate::shape::Text {
        word: "response",
        pattern: Some(r"^([1-5]xx|[1-5][0-9]{2}(\s*-\s*[1-5][0-9]{2})?|[A-Za-z_]+)$"),
        or_number: true,
    })
);

#[cfg(test)]
mod tests {
    use super::ResponseTest;

    #[test]
    fn responses_are_named_by_number_or_by_word() {
        for (text, shown) in
            [("503", "503"), ("502 - 504", "502-504"), ("5xx", "500-599"), ("UNAVAILABLE", "unavailable")]
        {
            assert_eq!(text.parse::<ResponseTest>().unwrap().to_string(), shown);
        }
        assert_eq!("aborted".parse::<ResponseTest>().unwrap(), ResponseTest::Call(10));
        let error = "unavailible".parse::<ResponseTest>().unwrap_err();
        assert_eq!(error.mend.as_deref(), Some("did you mean `unavailable`?"));
        for text in ["", "50", "600", "504-502", "x"] {
            assert!(text.parse::<ResponseTest>().is_err(), "{text}");
        }
    }
}

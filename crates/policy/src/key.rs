//! Which requests belong together: the key that a limit counts by, or that a balancer keeps at one endpoint, made from a
//! request and its sender.
//!
//! A key is a row of parts, each with a byte for its kind, a byte for its length, and its bytes. So no two different
//! rows of parts have the same bytes, whatever clients put into them. A part is at most [`LONGEST_PART`] bytes
//! long; the SHA-256 of a longer one stands in for it, which nobody can find another text for to count as somebody else,
//! and which is the same in every instance that counts in the same store.
//!
//! What a client chooses freely (a header, a cookie, a parameter, an unverified claim) is no protection by itself:
//! it makes up a new one for each request. Such a key belongs behind authentication, or beside a limit by address.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv6Addr};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value as Json;
use tollgate_expression::Expression;
use tollgate_message::form;

use crate::{Asked, Caller, Told};

/// The most bytes of a part that stand in a key as they are.
pub const LONGEST_PART: usize = 64;

/// The prefix of IPv6 addresses that are counted together: what a single subscriber usually gets (RFC 6177), so
/// that the 2^64 addresses in it are one client.
pub const USUAL_V6_PREFIX: u8 = 64;

/// What requests belong together by.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// The route: all its requests count together.
    Route,
    /// The consumer; of a caller that is none, the subject that its proof names. A request of neither counts with
    /// its client's address: strangers do not use up each other's share.
    Consumer,
    /// The client's address.
    Address {
        /// How many leading bits of an IPv6 address count, up to 128.
        v6_prefix: u8,
    },
    /// The values of a header field. Requests without it count by address.
    Header(Box<str>),
    /// The first cookie of this name. Requests without it count by address.
    Cookie(Box<str>),
    /// The first query parameter of this name, decoded, so that no two spellings of a value count
    /// apart. Requests without it count by address.
    Query(Box<str>),
    /// A claim, at a path of names with dots between them. Requests without it count by address.
    Claim(Box<str>),
    /// The normalised path.
    Path,
    /// What an expression gives. Requests of which it cannot be evaluated count by address.
    Expression(Expression),
    /// All of these: requests count together that have each of them in common.
    Several(Vec<Self>),
}

/// The kinds of parts. They are kept in stores: numbers are never used again for anything else.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Route = 1,
    Consumer = 2,
    V4 = 3,
    V6 = 4,
    Header = 5,
    Cookie = 6,
    Query = 7,
    /// A claim that is text.
    Claim = 8,
    /// A claim that is anything else, as JSON.
    ClaimJson = 9,
    /// A subject, behind the name of the method that proved it.
    Subject = 10,
    Expression = 11,
    Path = 12,
}

/// Added to a kind where the part is a SHA-256.
const HASHED: u8 = 0x80;

impl KeySource {
    /// Whether the names in it can be those of fields; if not, what is wrong.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Header(name) | Self::Cookie(name) if !is_token(name.as_bytes()) => {
                Err(format!("`{name}` is not a name"))
            }
            Self::Address { v6_prefix } if *v6_prefix > 128 => Err("an IPv6 address has 128 bits".into()),
            Self::Several(sources) if sources.is_empty() => Err("the list is empty".into()),
            Self::Several(sources) => sources.iter().try_for_each(Self::check),
            _ => Ok(()),
        }
    }

    /// Appends the key of who comes from an address without a request: that of the address, whatever else
    /// the key is made of.
    pub fn write_address(&self, client: IpAddr, out: &mut Vec<u8>) {
        let v6_prefix = if let Self::Address { v6_prefix } = self { *v6_prefix } else { USUAL_V6_PREFIX };
        address(out, client, v6_prefix);
    }

    /// Appends the key of a request. Nothing is allocated once the buffer has grown.
    pub fn write(&self, asked: &Asked<'_>, caller: &Caller, out: &mut Vec<u8>) {
        match self {
            Self::Route => part(out, Kind::Route, asked.route.as_bytes()),
            Self::Consumer => match (&caller.consumer, &caller.subject) {
                (Some(consumer), _) => part(out, Kind::Consumer, consumer.name.as_bytes()),
                (None, Some(subject)) => part_with(out, Kind::Subject, |out| {
                    out.extend_from_slice(caller.auth.as_bytes());
                    out.push(0);
                    out.extend_from_slice(subject.as_bytes());
                }),
                (None, None) => usual_address(out, asked),
            },
            Self::Address { v6_prefix } => address(out, asked.connection.client, *v6_prefix),
            Self::Header(name) => header(out, asked, name),
            Self::Cookie(name) => match asked.cookie(name.as_bytes()) {
                Some(value) => part(out, Kind::Cookie, value),
                None => usual_address(out, asked),
            },
            Self::Query(name) => match asked.query_value(name.as_bytes()) {
                Some(value) => part_with(out, Kind::Query, |out| out.extend(form::decode(value))),
                None => usual_address(out, asked),
            },
            Self::Claim(path) => match caller.claim(path) {
                None | Some(Json::Null) => usual_address(out, asked),
                Some(value) => claim(out, value),
            },
            Self::Path => part(out, Kind::Path, asked.path),
            Self::Expression(expression) => {
                let start = out.len();
                let mut failed = false;
                part_with(out, Kind::Expression, |out| {
                    failed = expression.key(&Told { asked, caller }, out).is_err();
                });
                if failed {
                    out.truncate(start);
                    usual_address(out, asked);
                }
            }
            Self::Several(sources) => sources.iter().for_each(|source| source.write(asked, caller, out)),
        }
    }
}

/// What it goes by, without any value.
impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route => f.write_str("route"),
            Self::Consumer => f.write_str("consumer"),
            Self::Address { .. } => f.write_str("address"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Query(name) => write!(f, "query {name}"),
            Self::Claim(path) => write!(f, "claim {path}"),
            Self::Path => f.write_str("path"),
            Self::Expression(_) => f.write_str("expression"),
            Self::Several(sources) => sources.iter().enumerate().try_for_each(|(at, source)| {
                f.write_str(if at > 0 { ", " } else { "" })?;
                source.fmt(f)
            }),
        }
    }
}

fn part(out: &mut Vec<u8>, kind: Kind, value: &[u8]) {
    part_with(out, kind, |out| out.extend_from_slice(value));
}

/// What stands in for a value that is not there.
fn usual_address(out: &mut Vec<u8>, asked: &Asked<'_>) {
    address(out, asked.connection.client, USUAL_V6_PREFIX);
}

/// Appends a part that `write` appends the bytes of.
fn part_with(out: &mut Vec<u8>, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[kind as u8, 0]);
    write(out);
    let value = start + 2;
    if out.len() - value > LONGEST_PART {
        let hash = digest(&SHA256, &out[value..]);
        out.truncate(value);
        out.extend_from_slice(hash.as_ref());
        out[start] |= HASHED;
    }
    out[start + 1] = (out.len() - value) as u8;
}

fn address(out: &mut Vec<u8>, address: IpAddr, v6_prefix: u8) {
    match address.to_canonical() {
        IpAddr::V4(v4) => part(out, Kind::V4, &v4.octets()),
        IpAddr::V6(v6) => {
            let behind = u128::MAX.checked_shr(u32::from(v6_prefix)).unwrap_or(0);
            part(out, Kind::V6, &Ipv6Addr::from_bits(v6.to_bits() & !behind).octets());
        }
    }
}

/// A field of several lines is one of a list (RFC 9110 section 5.3): a second line makes another value, not one that
/// is not looked at.
fn header(out: &mut Vec<u8>, asked: &Asked<'_>, name: &str) {
    let of_name = |other: &[u8]| other.eq_ignore_ascii_case(name.as_bytes());
    let mut lines = asked.fields.iter().filter(|(other, _, _)| of_name(other)).map(|(_, value, _)| value);
    let Some(first) = lines.next() else { return usual_address(out, asked) };
    part_with(out, Kind::Header, |out| {
        out.extend_from_slice(first);
        for line in lines {
            out.extend_from_slice(b", ");
            out.extend_from_slice(line);
        }
    });
}

fn claim(out: &mut Vec<u8>, value: &Json) {
    match value {
        Json::String(text) => part(out, Kind::Claim, text.as_bytes()),
        // Writing into memory does not fail.
        other => part_with(out, Kind::ClaimJson, |out| drop(write!(out, "{other}"))),
    }
}

/// Whether this is a token (RFC 9110 section 5.6.2): a method, a field name, half of a media type.
pub fn is_token(bytes: &[u8]) -> bool {
    let in_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(in_token)
}

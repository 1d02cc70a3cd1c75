//! What the two processes of a hand-over say to each other: JSON behind its length, and sockets behind the offer.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tollgate_config::Bundle;
use tollgate_control::membership::OperatorChanges;

/// The version of all this. What is only added needs no other one: keys that are not known are skipped, and those that
/// are missing have defaults.
pub const PROTOCOL: u32 = 1;

/// Bytes of one message. What is known of endpoints, and a document that was applied, is all of it that grows.
const MESSAGE_MAX: usize = 256 << 20;

/// What the old process offers. Behind it come the sockets, in the same order.
#[derive(Debug, Serialize, Deserialize)]
pub struct Offer {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The old process.
    pub pid: u32,
    /// The sockets.
    pub sockets: Vec<SocketNote>,
    /// What operators have set, and what else should not be lost.
    #[serde(default)]
    pub state: State,
}

/// A socket of an offer. Of what kind it is and where it listens the socket itself tells.
#[derive(Debug, Serialize, Deserialize)]
pub struct SocketNote {
    /// Where the document wants it, perhaps at port 0.
    pub wanted: Option<SocketAddr>,
    /// The listener's name.
    pub listener: String,
    /// What it takes to go on with HTTP/3 on it.
    #[serde(default)]
    pub quic: Option<QuicNote>,
}

/// What processes at a socket of HTTP/3 share. Behind the socket come the channels by which the new one passes packets
/// on to the others.
#[derive(Debug, Serialize, Deserialize)]
pub struct QuicNote {
    /// The key of its connections' ids and resets.
    pub key: [u8; 32],
    /// What stands in the connection ids of each process whose connections may still be open.
    pub instances: Vec<[u8; 3]>,
}

impl SocketNote {
    /// How many descriptors come for it.
    pub fn descriptors(&self) -> usize {
        1 + self.quic.as_ref().map_or(0, |quic| quic.instances.len())
    }
}

/// What the old process knows that no document says.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// The secrets of TLS session tickets, as `tollgate_tls::TicketKeys` writes them.
    #[serde(default)]
    pub tickets: Vec<u8>,
    /// The key of sessions that the document has none for.
    #[serde(default)]
    pub session_key: Vec<u8>,
    /// What operators have set at endpoints.
    #[serde(default)]
    pub operator: OperatorChanges,
    /// What is known of the health of endpoints.
    #[serde(default)]
    pub health: Vec<HealthNote>,
    /// The document in force, where it is not the one of the file: it was applied, or gone back to.
    #[serde(default)]
    pub document: Option<Bundle>,
}

/// What is known of an endpoint's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthNote {
    /// The upstream's name.
    pub upstream: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// Its address.
    pub address: SocketAddr,
    /// What its probes say; `None` without a verdict.
    #[serde(default)]
    pub is_up: Option<bool>,
    /// How much longer it is ejected, in milliseconds; `None` if it is not.
    #[serde(default)]
    pub ejected_ms: Option<u64>,
    /// Number of the latest ejection.
    #[serde(default)]
    pub ejections: u32,
}

/// What else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The new process: all listeners accept.
    Ready,
    /// The old process: everything is yours, I am leaving.
    Yours,
}

/// Sends a message.
pub fn write(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let too_long = |_| io::Error::new(io::ErrorKind::InvalidData, "the message is too long");
    let length = u32::try_from(text.len()).map_err(too_long)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&text)
}

/// Receives a message. Reads no byte more than it has, since what follows may carry sockets.
pub fn read<T: DeserializeOwned>(mut stream: &UnixStream) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MESSAGE_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let mut text = Vec::new();
    stream.take(length as u64).read_to_end(&mut text)?;
    if text.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::{Offer, PROTOCOL, Word, read, write};

    #[test]
    fn messages_follow_each_other_and_their_end_is_seen() {
        let (here, there) = UnixStream::pair().unwrap();
        write(&here, &Word::Ready).unwrap();
        write(&here, &Word::Yours).unwrap();
        (&here).write_all(&[0, 0, 0, 9, b'"']).unwrap();
        drop(here);
        assert_eq!(read::<Word>(&there).unwrap(), Word::Ready);
        assert_eq!(read::<Word>(&there).unwrap(), Word::Yours);
        assert_eq!(read::<Word>(&there).unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_message_without_bound_is_refused() {
        let (here, there) = UnixStream::pair().unwrap();
        (&here).write_all(&[0xff; 4]).unwrap();
        assert_eq!(read::<Word>(&there).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_another_version_leaves_out_or_adds_is_no_obstacle() {
        let text = r#"{"protocol":1,"pid":7,"sockets":[{"wanted":null,"listener":"a","news":1}],"more":{}}"#;
        let offer: Offer = serde_json::from_str(text).unwrap();
        assert_eq!((offer.protocol, offer.pid), (PROTOCOL, 7));
        assert!(offer.sockets[0].quic.is_none() && offer.state.health.is_empty());
    }
}

//! A client that sends any frames.

use std::net::SocketAddr;

use super::frames::{self, Frame};
use crate::client::Client;

/// How a connection ended.
#[derive(Clone, Debug, Default)]
pub struct Farewell {
    /// The code of the last GOAWAY.
    pub code: Option<u32>,
    /// The frames that came.
    pub frames: Vec<Frame>,
}

impl Farewell {
    /// The code of the reset of this stream.
    pub fn reset_of(&self, stream: u32) -> Option<u32> {
        let reset = self.frames.iter().find(|f| f.kind == frames::RST_STREAM && f.stream == stream)?;
        Some(reset.number(0))
    }
}

/// A client that sends any frames.
#[derive(Debug)]
pub struct RawHttp2 {
    client: Client,
}

impl RawHttp2 {
    /// Connects, and sends preface, empty settings and the acknowledgement of the server's.
    pub fn connect(address: SocketAddr) -> Self {
        Self::with_settings(address, &[])
    }

    /// The same with these settings.
    pub fn with_settings(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut client = Client::connect(address);
        client.send(frames::PREFACE);
        client.send(frames::settings(settings));
        client.send(frames::frame(frames::SETTINGS, frames::ACK, 0, &[]));
        Self { client }
    }

    /// Sends frames, or anything.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.send(bytes);
    }

    /// Sends to a side that may have closed already; false where it has.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.client.try_send(bytes).is_ok()
    }

    /// The next frame; `None` at the end of the connection.
    pub fn frame(&mut self) -> Option<Frame> {
        let head = self.client.try_exact(9)?;
        let (length, mut frame) = Frame::head(&head);
        frame.payload = self.client.try_exact(length)?;
        Some(frame)
    }

    /// Waits for a frame of this kind.
    pub fn frame_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.frame().unwrap_or_else(|| panic!("no frame of type {kind} came"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Sends `flood(i)` for i from 0 on, at most `limit` times, until the other side has had enough, while what
    /// it says is read; then reads to the end.
    pub fn flood(self, limit: u32, flood: impl Fn(u32) -> Vec<u8>) -> Farewell {
        let mut sender = self.client.try_clone();
        let reader = std::thread::spawn(move || self.farewell());
        for i in 0..limit {
            if reader.is_finished() || sender.try_send(flood(i)).is_err() {
                break;
            }
        }
        sender.try_finish_sending();
        reader.join().unwrap()
    }

    /// Reads to the end.
    pub fn farewell(mut self) -> Farewell {
        let mut farewell = Farewell::default();
        while let Some(frame) = self.frame() {
            if frame.kind == frames::GOAWAY {
                farewell.code = Some(frame.number(4));
            }
            farewell.frames.push(frame);
        }
        farewell
    }
}

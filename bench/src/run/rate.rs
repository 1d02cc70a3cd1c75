//! What a limit admits: one connection asks as fast as it is answered, far more often than the limit allows, and what
//! passes is counted.

use super::cell::start;
use super::configuration::Place;
use super::plan::{Cell, Shape, Subject};
use super::programs::Program;
use super::results::{Spread, Verdict};
use super::scenarios::gate;
use super::{Behind, Options};
use crate::sys::sockets;
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// What the table calls it.
pub(crate) const TITLE: &str = "a limit of 100/s, asked for more";
/// What must come of it.
pub(crate) const WANTED: RangeInclusive<f64> = 99.0..=101.0;

const PER_SECOND: u32 = 100;
/// The burst is used up within this.
const BURST: Duration = Duration::from_secs(1);
/// One request more or less at an edge is a hundredth of a percent of a window.
const WINDOW: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);
const CELL: Cell = Cell { shape: Shape::Small, subject: Subject::Tollgate };
const LARGEST_HEAD: usize = 16 << 10;

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Admitted(pub(crate) Result<Figures, String>);

/// Over all windows, one a round.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Figures {
    /// Requests that passed, per second.
    pub(crate) admitted: Spread,
    /// Requests that were sent, per second.
    pub(crate) asked: Spread,
}

impl Admitted {
    /// Whether each window is as it must be.
    pub(crate) fn verdict(&self) -> Verdict {
        match &self.0 {
            Ok(Figures { admitted, .. })
                if [admitted.low, admitted.high].iter().all(|rate| WANTED.contains(rate)) =>
            {
                Verdict::Pass
            }
            Ok(_) => Verdict::Miss,
            Err(_) => Verdict::Invalid,
        }
    }
}

/// Starts Tollgate with the limit and asks.
pub(crate) fn measure(program: &Program, behind: &Behind, options: &Options) -> Result<Figures> {
    let directory = tempfile::Builder::new().prefix("tollgate-bench-").tempdir()?;
    let place = Place {
        listen_port: sockets::free_port()?,
        origin_port: behind.origin.port(),
        collector: behind.collector,
        identity: &behind.identity,
        credentials: &behind.credentials,
        directory: directory.path(),
        connections: options.connections,
    };
    let text = gate::with_limit(PER_SECOND, &place)?;
    let (_child, address) = start(CELL, program, &place, &text, "/128", options)?;
    let mut asking = Asking::connect(address)?;
    asking.during(BURST)?;
    let windows = (0..options.rounds).map(|_| asking.during(WINDOW)).collect::<Result<Vec<_>>>()?;
    let of = |value: fn(&(f64, f64)) -> f64| {
        Spread::of(windows.iter().map(value).collect()).context("nothing was measured")
    };
    Ok(Figures { admitted: of(|window| window.0)?, asked: of(|window| window.1)? })
}

/// A connection that asks.
struct Asking {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Asking {
    fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!("GET /128 HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
        Ok(Self { stream, request, answer: Vec::new() })
    }

    /// How many requests passed and how many were sent, per second.
    fn during(&mut self, window: Duration) -> Result<(f64, f64)> {
        let (start, mut passed, mut asked) = (Instant::now(), 0_u32, 0_u32);
        while start.elapsed() < window {
            match self.ask()? {
                200 => passed += 1,
                429 => {}
                other => bail!("status {other}"),
            }
            asked += 1;
        }
        let seconds = start.elapsed().as_secs_f64();
        Ok((f64::from(passed) / seconds, f64::from(asked) / seconds))
    }

    /// The status of the answer to one request; the answer is read to its end.
    fn ask(&mut self) -> Result<u16> {
        self.stream.write_all(&self.request)?;
        self.answer.clear();
        let mut piece = [0; 4096];
        loop {
            let count = self.stream.read(&mut piece)?;
            ensure!(count > 0, "the connection was closed");
            self.answer.extend_from_slice(&piece[..count]);
            if let Some(status) = complete(&self.answer)? {
                return Ok(status);
            }
        }
    }
}

/// The status of an answer once it has come whole.
fn complete(answer: &[u8]) -> Result<Option<u16>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(answer)? else {
        ensure!(answer.len() <= LARGEST_HEAD, "a head without end");
        return Ok(None);
    };
    let stated = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let stated = stated.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse::<usize>().ok());
    let body = stated.context("an answer without content-length")?;
    ensure!(answer.len() <= length + body, "bytes behind the answer");
    Ok(if answer.len() == length + body { head.code } else { None })
}

#[cfg(test)]
mod tests {
    use super::{Admitted, Figures, complete};
    use crate::run::results::{Spread, Verdict};

    #[test]
    fn an_answer_is_read_to_its_end() {
        let whole = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 3\r\n\r\nabc";
        for end in 0..whole.len() {
            assert_eq!(complete(&whole[..end]).expect("so far good"), None, "{end}");
        }
        assert_eq!(complete(whole).expect("good"), Some(429));
        assert!(complete(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx").is_err());
        assert!(complete(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn each_window_must_be_right() {
        let verdict = |rates: &[f64]| {
            let spread = Spread::of(rates.to_vec()).expect("some");
            Admitted(Ok(Figures { admitted: spread, asked: spread })).verdict()
        };
        assert_eq!(verdict(&[99.0, 100.1, 101.0]), Verdict::Pass);
        assert_eq!(verdict(&[100.0, 101.1]), Verdict::Miss);
        assert_eq!(verdict(&[98.9, 100.0]), Verdict::Miss);
        assert_eq!(Admitted(Err("status 503".to_owned())).verdict(), Verdict::Invalid);
    }
}

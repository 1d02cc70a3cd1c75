//! The load over HTTP/2: h2load of nghttp2, whose count of answers, statuses and bytes must be what was asked for.

use super::Options;
use super::child::Child;
use super::plan::{Protocol, Shape};
use crate::grpc;
use crate::histogram::Histogram;
use crate::identity;
use crate::load::{Errors, Handshakes, Latency, Outcome, Usage, request};
use crate::sys::accounting::CpuSample;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Connections of the load.
const CONNECTIONS: u64 = 10;
/// Streams open on each.
const STREAMS: u64 = 32;
/// The first requests tell how many more fit the time.
const FIRST: u64 = CONNECTIONS * STREAMS * 20;
/// What a run may take beyond its time.
const SLACK: Duration = Duration::from_secs(60);
/// Each request has a line: start, status, and how long it took (microseconds).
const LOG: &str = "h2load.log";

/// A run of load against one program.
pub(crate) struct Load<'a> {
    /// The file of h2load.
    pub(crate) program: &'a Path,
    /// What is asked for.
    pub(crate) shape: Shape,
    /// The program's address.
    pub(crate) target: SocketAddr,
    /// The root of its processes.
    pub(crate) account: i32,
    /// For files.
    pub(crate) directory: &'a Path,
}

impl Load<'_> {
    /// Warms the program up, then sends as many requests as fit the window, and accounts for all of them. The
    /// handshakes of the connections are in it.
    pub(crate) fn measure(&self, options: &Options) -> Result<Outcome> {
        let rate = |(requests, seconds): (u64, f64)| requests as f64 / seconds.max(1e-3);
        let fitting = |rate: f64, seconds: f64| ((rate * seconds) as u64).max(FIRST);
        let first = rate(self.send(FIRST)?);
        let warm = rate(self.send(fitting(first, options.warm_up))?);

        let before = CpuSample::of_tree(self.account)?;
        let (requests, seconds) = self.send(fitting(warm, options.seconds))?;
        let after = CpuSample::of_tree(self.account)?;
        Ok(Outcome {
            requests,
            seconds,
            errors: Errors::default(),
            latency: Latency::of(&self.latencies(requests)?),
            handshakes: Handshakes::default(),
            usage: Some(Usage::between(self.account, &before, &after)?),
            held: None,
            timeline: None,
        })
    }

    /// Sends so many requests and returns how many and in which time. One wrong answer is an error.
    fn send(&self, requests: u64) -> Result<(u64, f64)> {
        let log = self.directory.join(LOG);
        if log.exists() {
            std::fs::remove_file(&log)?;
        }
        let mut command = Command::new(self.program);
        command.args(["-n", &requests.to_string(), "-c", &CONNECTIONS.to_string()]);
        command.args(["-m", &STREAMS.to_string(), "--log-file"]).arg(&log);
        command.stdout(Stdio::piped());
        self.ask(&mut command)?;
        let start = Instant::now();
        let child = Child::start(command, &self.directory.join("load.log"))?;
        let text = child.output(SLACK)?;
        let seconds = start.elapsed().as_secs_f64();
        let report = Report { text: &text };
        report.judge(self.shape, requests).with_context(|| format!("h2load told\n{text}"))?;
        Ok((requests, seconds))
    }

    fn ask(&self, command: &mut Command) -> Result<()> {
        if self.shape.protocol() == Protocol::Grpc {
            let message = self.directory.join("message");
            std::fs::write(&message, grpc::message())?;
            command.arg("-d").arg(message).args(["-p", "h2c"]);
            command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
            command.arg(format!("http://{}{}", self.target, grpc::PATH));
            return Ok(());
        }
        command.args(["--npn-list", "h2", "--groups", "X25519"]);
        command.args(["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"]);
        command.arg(format!("--connect-to={}", self.target));
        for (name, value) in request::FIELDS {
            command.arg("-H").arg(format!("{}: {value}", name.to_ascii_lowercase()));
        }
        command.arg(format!("https://{}:{}/{}", identity::NAME, self.target.port(), self.shape.body()));
        Ok(())
    }

    fn latencies(&self, requests: u64) -> Result<Histogram> {
        let text = std::fs::read_to_string(self.directory.join(LOG))?;
        let mut histogram = Histogram::new();
        for line in text.lines() {
            let micros = line.split('\t').nth(2).and_then(|field| field.parse().ok());
            histogram.record(Duration::from_micros(micros.context("the log of h2load reads strangely")?));
        }
        ensure!(histogram.total() == requests, "h2load logged {} of {requests}", histogram.total());
        Ok(histogram)
    }
}

/// What h2load says at its end.
struct Report<'a> {
    text: &'a str,
}

impl Report<'_> {
    /// Fails unless each request had its answer, over the protocol that is measured.
    fn judge(&self, shape: Shape, requests: u64) -> Result<()> {
        let succeeded = self.number("requests: ", " succeeded");
        ensure!(succeeded == Some(requests), "{succeeded:?} of {requests} requests succeeded");
        let good = self.number("status codes: ", " 2xx");
        ensure!(good == Some(requests), "{good:?} of {requests} statuses were good");
        let each = match shape.protocol() {
            Protocol::Grpc => grpc::message().len() as u64,
            _ => shape.body(),
        };
        let bytes = self.bytes();
        ensure!(bytes == Some(requests * each), "{bytes:?} bytes of bodies instead of {}", requests * each);
        let wanted: &[&str] = match shape.protocol() {
            Protocol::Grpc => &["Application protocol: h2c"],
            _ => &[
                "Application protocol: h2",
                "TLS Protocol: TLSv1.3",
                "Cipher: TLS_AES_128_GCM_SHA256",
                "Server Temp Key: X25519 253 bits",
            ],
        };
        let missing = wanted.iter().find(|wanted| !self.text.lines().any(|line| line == **wanted));
        missing.map_or(Ok(()), |missing| Err(anyhow::anyhow!("it did not have `{missing}`")))
    }

    /// The number in front of `behind` in the line that begins with `line`.
    fn number(&self, line: &str, behind: &str) -> Option<u64> {
        let line = self.text.lines().find_map(|text| text.strip_prefix(line))?;
        line.split(", ").find_map(|part| part.strip_suffix(behind))?.trim().parse().ok()
    }

    /// Bytes in DATA frames: `traffic: 1.2MB (1234567) total, …, 80.00KB (81920) data`.
    fn bytes(&self) -> Option<u64> {
        let line = self.text.lines().find_map(|text| text.strip_prefix("traffic: "))?;
        let part = line.split(", ").find_map(|part| part.strip_suffix(") data"))?;
        part.rsplit_once('(')?.1.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::run::plan::Shape;

    const TEXT: &str = "TLS Protocol: TLSv1.3\nCipher: TLS_AES_128_GCM_SHA256\n\
        Server Temp Key: X25519 253 bits\nApplication protocol: h2\n\n\
        finished in 1.00s, 10.00 req/s, 1.0MB/s\n\
        requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout\n\
        status codes: 10 2xx, 0 3xx, 0 4xx, 0 5xx\n\
        traffic: 1.53KB (1570) total, 70B (70) headers (space savings 90.00%), 1.25KB (1280) data\n";

    #[test]
    fn a_report_is_judged_by_counts_and_protocol() {
        let judge = |text: &str| Report { text }.judge(Shape::Http2, 10);
        judge(TEXT).expect("is right");
        for (from, to) in [
            ("10 succeeded", "9 succeeded"),
            ("10 2xx", "9 2xx"),
            ("(1280) data", "(1152) data"),
            ("X25519", "ECDH P-256"),
            ("protocol: h2", "protocol: http/1.1"),
        ] {
            assert!(judge(&TEXT.replace(from, to)).is_err(), "{to}");
        }
        assert!(judge("").is_err());
    }
}

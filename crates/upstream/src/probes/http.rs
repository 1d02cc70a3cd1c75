//! Sends a request over HTTP/1.1 and expects one of some statuses, and perhaps a text in the body.

mod answer;
mod expected_body;
mod settings;

pub use expected_body::ExpectedBody;
pub use settings::{HttpProbeSettings, HttpProbeSettingsError};

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use super::dial::{Dial, ProbeStream, TcpDial, dial};
use super::{Probe, ProbeAnswer, ProbeFailure, ProbeTarget};
use answer::Answer;

/// Passes when the answer to its request has one of the expected statuses, and the expected body. Each probe has its own
/// connection. A redirection is an answer like any other and not followed.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    /// The request up to the value of Host, the value unless it is the endpoint's name, and the rest.
    start: Box<[u8]>,
    host: Option<Box<str>>,
    rest: Box<[u8]>,
    is_head: bool,
    expected: Box<[RangeInclusive<u16>]>,
    expected_text: Arc<str>,
    body: Option<ExpectedBody>,
    dial: Arc<dyn Dial>,
}

impl Default for HttpProbe {
    /// GET / with any status of 200-399.
    fn default() -> Self {
        Self::compile(HttpProbeSettings::default())
    }
}

impl HttpProbe {
    /// A probe of these settings.
    ///
    /// # Errors
    /// The first setting that would make a malformed request or could never pass.
    pub fn new(settings: HttpProbeSettings) -> Result<Self, HttpProbeSettingsError> {
        settings.check()?;
        Ok(Self::compile(settings))
    }

    fn compile(settings: HttpProbeSettings) -> Self {
        let HttpProbeSettings { method, path, host, headers, expected, body } = settings;
        let mut rest = String::from("\r\nconnection: close\r\naccept: */*\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
            rest.push_str("user-agent: tollgate-probe\r\n");
        }
        for (name, value) in &headers {
            rest.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
        }
        rest.push_str("\r\n");
        Self {
            start: format!("{method} {path} HTTP/1.1\r\nhost: ").into_bytes().into(),
            host: host.map(Into::into),
            rest: rest.into_bytes().into(),
            is_head: method == "HEAD",
            expected_text: settings::ranges_as_text(&expected).into(),
            expected: expected.into(),
            body,
            dial: Arc::new(TcpDial),
        }
    }

    /// The same probe over connections of another kind.
    #[must_use]
    pub fn over(self, dial: Arc<dyn Dial>) -> Self {
        Self { dial, ..self }
    }

    fn request(&self, target: &ProbeTarget) -> Vec<u8> {
        let host = self.host.as_deref().unwrap_or(&target.name);
        [&self.start, host.as_bytes(), &self.rest].concat()
    }

    fn judge(&self, status: u16) -> Result<(), ProbeFailure> {
        if self.expected.iter().any(|range| range.contains(&status)) {
            return Ok(());
        }
        Err(ProbeFailure::Status { got: status, expected: Arc::clone(&self.expected_text) })
    }

    async fn ask(
        &self,
        stream: &mut Box<dyn ProbeStream>,
        target: &ProbeTarget,
    ) -> Result<Answer, ProbeFailure> {
        let sent = stream.write_all(&self.request(target)).await;
        // Whoever answers before it has read the request has answered all the same.
        let answer = Answer::receive(stream, self.is_head).await;
        match (sent, answer) {
            (Err(error), Err(ProbeFailure::Closed)) => Err(ProbeFailure::from_exchange(&error)),
            (_, answer) => answer,
        }
    }
}

impl Probe for HttpProbe {
    fn run<'a>(&'a self, target: &'a ProbeTarget, timeout: Duration) -> ProbeAnswer<'a> {
        Box::pin(async move {
            let deadline = Instant::now() + timeout;
            let mut stream = dial(&*self.dial, target, timeout, deadline).await?;
            let answer = match timeout_at(deadline, self.ask(&mut stream, target)).await {
                Ok(answer) => answer?,
                Err(_) => return Err(ProbeFailure::NoAnswer(timeout)),
            };
            self.judge(answer.status())?;
            match &self.body {
                Some(expected) => look_for(expected, answer, &mut stream, deadline).await,
                None => {
                    // The verdict stands; the body is read only so that the endpoint does not see a reset.
                    let _ = timeout_at(deadline, answer.drain(&mut stream)).await;
                    Ok(())
                }
            }
        })
    }
}

async fn look_for(
    expected: &ExpectedBody,
    mut answer: Answer,
    stream: &mut Box<dyn ProbeStream>,
    deadline: Instant,
) -> Result<(), ProbeFailure> {
    let mut body = Vec::new();
    let in_time = timeout_at(deadline, answer.read(stream, expected.prefix(), &mut body)).await.is_ok();
    if expected.is_in(&body) {
        return Ok(());
    }
    let looked_at = body.len().min(expected.prefix());
    Err(ProbeFailure::Body { expected: Arc::clone(expected.as_text()), looked_at, in_time })
}

#[cfg(test)]
#[path = "http/tests.rs"]
mod tests;

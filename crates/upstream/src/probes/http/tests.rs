use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{HttpProbe, HttpProbeSettings};
use crate::endpoint::Endpoint;
use crate::probes::{Probe, ProbeFailure};

/// Runs the probe against an endpoint that reads the request, sends `answer` and, unless it `stays`, closes.
/// Returns the outcome and the request.
async fn probed(
    settings: HttpProbeSettings,
    answer: &'static [u8],
    stays: bool,
    timeout: Duration,
) -> (Result<(), ProbeFailure>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new("api.example:8080", listener.local_addr().unwrap(), 1);
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.unwrap() > 0 {}
        let _ = stream.write_all(answer).await;
        if stays {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        String::from_utf8(request).unwrap()
    });
    let outcome = HttpProbe::new(settings).unwrap().run(&endpoint, timeout).await;
    (outcome, serve.await.unwrap())
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_request_is_as_the_settings_say() {
    let (_, request) = probed(HttpProbeSettings::default(), b"HTTP/1.1 200 OK\r\n\r\n", false, LONG).await;
    let expected = "GET / HTTP/1.1\r\nhost: api.example:8080\r\nconnection: close\r\naccept: */*\r\n\
                    user-agent: tollgate-probe\r\n\r\n";
    assert_eq!(request, expected);

    let settings = HttpProbeSettings {
        method: "HEAD".into(),
        path: "/healthz?deep=1".into(),
        host: Some("internal".into()),
        headers: vec![("User-Agent".into(), "me".into()), ("x-team".into(), "blue".into())],
        expected: vec![204..=204],
    };
    let (outcome, request) = probed(settings, b"HTTP/1.1 204 No Content\r\n\r\n", true, LONG).await;
    let expected = "HEAD /healthz?deep=1 HTTP/1.1\r\nhost: internal\r\nconnection: close\r\naccept: */*\r\n\
                    User-Agent: me\r\nx-team: blue\r\n\r\n";
    assert_eq!((outcome, request.as_str()), (Ok(()), expected));
}

#[tokio::test]
async fn the_status_decides() {
    let outcome = async |answer| probed(HttpProbeSettings::default(), answer, false, LONG).await.0;
    assert_eq!(outcome(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await, Ok(()));
    assert_eq!(outcome(b"HTTP/1.1 302 Found\r\nlocation: /x\r\n\r\n").await, Ok(()));
    assert_eq!(outcome(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nrest").await, Ok(()));
    let failure = outcome(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n").await.unwrap_err();
    assert_eq!(failure, ProbeFailure::Status { got: 500, expected: Arc::from("200-399") });
    assert_eq!(failure.to_string(), "status 500, expected 200-399");
    assert_eq!(outcome(b"").await, Err(ProbeFailure::Closed));
    assert!(matches!(outcome(b"SSH-2.0-OpenSSH\r\n").await, Err(ProbeFailure::NotHttp(_))));
}

#[tokio::test]
async fn whoever_keeps_the_connection_open_passes_once_the_body_is_there() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(probed(HttpProbeSettings::default(), answer, true, LONG).await.0, Ok(()));
}

#[tokio::test]
async fn a_body_without_an_end_does_not_change_the_verdict() {
    let answer = b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n";
    let timeout = Duration::from_millis(200);
    // Where the machine is so slow that the head itself comes late, that is what the probe must say.
    match probed(HttpProbeSettings::default(), answer, true, timeout).await.0 {
        Ok(()) | Err(ProbeFailure::NoAnswer(_) | ProbeFailure::ConnectTimeout(_)) => {}
        Err(failure) => panic!("{failure}"),
    }
}

#[tokio::test]
async fn silence_is_named_with_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new("a", listener.local_addr().unwrap(), 1);
    let outcome = HttpProbe::default().run(&endpoint, Duration::from_millis(20)).await;
    assert_eq!(outcome, Err(ProbeFailure::NoAnswer(Duration::from_millis(20))));
    assert_eq!(ProbeFailure::NoAnswer(Duration::from_secs(2)).to_string(), "no answer in 2s");
    assert_eq!(ProbeFailure::Refused.to_string(), "connection refused");
}

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{ExpectedBody, HttpProbe, HttpProbeSettings};
use crate::probes::{Probe, ProbeFailure, ProbeTarget};

/// Runs the probe against an endpoint that reads the request, sends `answer` and, unless it `stays`, closes.
/// Returns the outcome and the request.
async fn probed(
    settings: HttpProbeSettings,
    answer: &'static [u8],
    stays: bool,
    timeout: Duration,
) -> (Result<(), ProbeFailure>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = ProbeTarget { name: "api.example:8080".into(), address: listener.local_addr().unwrap() };
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
    let outcome = HttpProbe::new(settings).unwrap().run(&target, timeout).await;
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
        body: None,
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
    let target = ProbeTarget { name: "a".into(), address: listener.local_addr().unwrap() };
    let outcome = HttpProbe::default().run(&target, Duration::from_millis(20)).await;
    assert_eq!(outcome, Err(ProbeFailure::NoAnswer(Duration::from_millis(20))));
    assert_eq!(ProbeFailure::NoAnswer(Duration::from_secs(2)).to_string(), "no answer in 2s");
    assert_eq!(ProbeFailure::Refused.to_string(), "connection refused");
}

#[tokio::test]
async fn the_body_decides_where_one_is_expected() {
    let outcome = async |body: ExpectedBody, answer, stays, timeout| {
        let settings = HttpProbeSettings { body: Some(body), ..HttpProbeSettings::default() };
        probed(settings, answer, stays, timeout).await.0
    };
    let chunks = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n";
    let ready = || ExpectedBody::text("ready");
    assert_eq!(outcome(ready(), chunks, true, LONG).await, Ok(()), "whole across chunks");
    assert_eq!(outcome(ExpectedBody::expression("^rea.y$").unwrap(), chunks, true, LONG).await, Ok(()));
    let failure = outcome(ready().within(4), chunks, true, LONG).await.unwrap_err();
    assert_eq!(failure.to_string(), "\"ready\" is not in the body (4 bytes were looked at)");
    let starting = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nstarting";
    assert!(outcome(ready(), starting, false, LONG).await.is_err());
    let failed = b"HTTP/1.1 503 No\r\ncontent-length: 5\r\n\r\nready";
    assert!(matches!(
        outcome(ready(), failed, false, LONG).await,
        Err(ProbeFailure::Status { got: 503, .. })
    ));
    // Of a body that does not end, what came in time counts.
    let endless = b"HTTP/1.1 200 OK\r\n\r\nhalf";
    match outcome(ready(), endless, true, Duration::from_millis(200)).await {
        Err(ProbeFailure::Body { looked_at: 4, in_time: false, .. }) => {}
        // A machine so slow that nothing came.
        Err(
            ProbeFailure::Body { looked_at: 0, .. }
            | ProbeFailure::NoAnswer(_)
            | ProbeFailure::ConnectTimeout(_),
        ) => {}
        other => panic!("{other:?}"),
    }
}

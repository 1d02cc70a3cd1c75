use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::sync::Semaphore;
use tollgate_decision::Reason;

use super::super::context::{SpanId, TraceId};
use super::super::queue::{Collector, ExportCounts, SpanBlock, Tracing, TracingSettings};
use super::super::sampling::Sampling;
use super::super::span::{AttemptSpan, Identity, write_attempt};
use super::Exporting;

/// A collector that answers each post with what a script says; `None` for nothing at all.
struct Receiver {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    arrived: Arc<Semaphore>,
    stopping: Arc<AtomicBool>,
}

impl Receiver {
    fn start(script: impl Fn(usize) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, arrived) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
        let stopping = Arc::new(AtomicBool::new(false));
        let (script, kept) = (Arc::new(script), (requests.clone(), arrived.clone(), stopping.clone()));
        std::thread::spawn(move || {
            let (requests, arrived, stopping) = kept;
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (script, requests, arrived) = (script.clone(), requests.clone(), arrived.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &*script, &requests, &arrived));
            }
        });
        Self { address, requests, arrived, stopping }
    }

    async fn wait(&self, count: u32) {
        let waiting = self.arrived.acquire_many(count);
        tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap().forget();
    }

    fn spans(&self) -> usize {
        let requests = self.requests.lock().unwrap();
        let decode = |body: &Vec<u8>| ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
        requests.iter().map(|body| decode(body).resource_spans[0].scope_spans[0].spans.len()).sum()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    mut stream: TcpStream,
    script: &dyn Fn(usize) -> Option<Vec<u8>>,
    requests: &Mutex<Vec<Vec<u8>>>,
    arrived: &Semaphore,
) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65_536];
    loop {
        let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
        let text = head.map(|end| String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase());
        let length = text.as_ref().map(|t| {
            assert!(t.starts_with("post /v1/traces http/1.1\r\n"), "{t}");
            assert!(
                t.contains("content-type: application/x-protobuf\r\n") && t.contains("x-key: hunter2\r\n"),
                "{t}"
            );
            t.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap().parse::<usize>().unwrap()
        });
        if let (Some(end), Some(length)) = (head, length)
            && bytes.len() >= end + length
        {
            let mut kept = requests.lock().unwrap();
            kept.push(bytes.drain(..end + length).skip(end).collect());
            let answer = script(kept.len() - 1);
            drop(kept);
            arrived.add_permits(1);
            match answer {
                Some(answer) => stream.write_all(&answer).unwrap(),
                None => return drop(stream.read_to_end(&mut Vec::new())),
            }
            continue;
        }
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
}

fn answer(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn ok() -> Option<Vec<u8>> {
    Some(answer("200 OK", "", b""))
}

fn tracing(address: SocketAddr, timeout: Duration) -> Tracing {
    Tracing::new(TracingSettings {
        collector: Collector {
            host: address.ip().to_string(),
            port: address.port(),
            path: "/v1/traces".into(),
            headers: vec![("x-key".into(), "hunter2".into())],
        },
        sampling: Sampling::new(10_000, true),
        service_name: "edge".into(),
        batch: 100,
        interval: Duration::from_millis(20),
        queue: 1_000_000,
        timeout,
    })
}

fn block(spans: u32) -> SpanBlock {
    let mut block = SpanBlock { bytes: Vec::new(), spans };
    for number in 1..=spans {
        let identity = Identity {
            trace_id: TraceId::new(1).unwrap(),
            span_id: SpanId::new(number.into()).unwrap(),
            parent: None,
            state: b"",
            start_ns: 1,
            end_ns: 2,
        };
        write_attempt(
            &mut block.bytes,
            &AttemptSpan {
                identity,
                method: b"GET",
                usual_method: true,
                endpoint: "a:1",
                upstream: "u",
                resend_count: 0,
                reused: false,
                status: 200,
                failure: Some(Reason::TryTimeout),
            },
        );
    }
    block
}

fn counts(counts: &ExportCounts) -> [u64; 3] {
    [&counts.exported, &counts.dropped, &counts.failed].map(|count| count.load(Ordering::Relaxed))
}

fn start(tracing: &Tracing) -> (Exporting, Arc<ExportCounts>, Arc<Mutex<Vec<String>>>) {
    let (counts, told) = (Arc::new(ExportCounts::default()), Arc::new(Mutex::new(Vec::new())));
    let for_task = told.clone();
    let report = move |text: &str| for_task.lock().unwrap().push(text.to_owned());
    (Exporting::start(tracing, &counts, report).unwrap(), counts, told)
}

#[tokio::test]
async fn spans_arrive_in_batches_and_all_of_them_by_the_end() {
    let receiver = Receiver::start(|_| ok());
    let tracing = tracing(receiver.address, Duration::from_secs(10));
    let (exporting, counted, told) = start(&tracing);
    for _ in 0..25 {
        tracing.send(block(30));
    }
    exporting.finish().await;
    assert_eq!((counts(&counted), receiver.spans()), ([750, 0, 0], 750));
    assert!(receiver.requests.lock().unwrap().len() >= 8, "a batch has at most 100 spans");
    assert!(told.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_exporter_ends_by_itself_once_nobody_can_send_any_more() {
    let receiver = Receiver::start(|_| ok());
    let tracing = tracing(receiver.address, Duration::from_secs(10));
    let (exporting, counted, _) = start(&tracing);
    tracing.send(block(3));
    drop(tracing);
    tokio::time::timeout(Duration::from_secs(30), exporting.task).await.unwrap().unwrap();
    assert_eq!(counts(&counted), [3, 0, 0]);
}

#[tokio::test]
async fn what_may_be_repeated_is_and_what_may_not_is_not() {
    let receiver = Receiver::start(|number| match number {
        0 => Some(answer("503 Service Unavailable", "Retry-After: 0\r\n", b"")),
        1 => Some(answer("429 Too Many Requests", "", b"")),
        // The connection ends without an answer.
        2 => Some(answer("502 Bad Gateway", "Connection: close\r\n", b"")),
        3 => ok(),
        _ => Some(answer("500 Internal Server Error", "", b"")),
    });
    let tracing = tracing(receiver.address, Duration::from_secs(10));
    let (exporting, counted, told) = start(&tracing);
    tracing.send(block(5));
    receiver.wait(4).await;
    tracing.send(block(6));
    receiver.wait(1).await;
    exporting.finish().await;
    assert_eq!(counts(&counted), [5, 0, 6]);
    assert_eq!(receiver.requests.lock().unwrap().len(), 5);
    let told = told.lock().unwrap();
    let ends: Vec<_> =
        told.iter().map(|t| t.rsplit(": ").next().unwrap().split(" by ").next().unwrap()).collect();
    assert_eq!(ends, ["it answers 503", "traces are taken", "it answers 500"], "{told:?}");
    assert!(!told.iter().any(|t| t.contains("hunter2")));
}

#[tokio::test]
async fn spans_that_a_collector_rejects_are_counted_as_failed() {
    let receiver = Receiver::start(|_| {
        let partial = ExportTracePartialSuccess { rejected_spans: 4, error_message: "too old".into() };
        let response = ExportTraceServiceResponse { partial_success: Some(partial) };
        Some(answer("200 OK", "", &response.encode_to_vec()))
    });
    let tracing = tracing(receiver.address, Duration::from_secs(10));
    let (exporting, counted, _) = start(&tracing);
    tracing.send(block(10));
    exporting.finish().await;
    assert_eq!(counts(&counted), [6, 0, 4]);
}

#[tokio::test]
async fn a_collector_that_never_answers_costs_a_bounded_queue_and_counted_drops() {
    let receiver = Receiver::start(|_| None);
    let tracing = tracing(receiver.address, Duration::from_millis(100));
    let (exporting, counted, told) = start(&tracing);
    let size = block(50).bytes.capacity();
    for _ in 0..100 {
        tracing.send(block(50));
        tokio::task::yield_now().await;
    }
    let waiting = 1_000_000 / size as u64;
    assert_eq!(counts(&counted), [0, 5_000 - 50 * waiting, 0]);
    receiver.wait(2).await;
    exporting.finish().await;
    assert_eq!(counts(&counted), [0, 5_000, 0], "what cannot be sent at the end is lost, and counted");
    assert_eq!(told.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_collector_that_is_down_at_first_gets_the_spans_later() {
    // The port stays taken, so that nobody else gets it meanwhile.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let tracing = tracing(address, Duration::from_secs(10));
    let (exporting, counted, told) = start(&tracing);
    tracing.send(block(5));
    tokio::time::timeout(Duration::from_secs(30), async {
        while told.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(told.lock().unwrap()[0].contains("cannot connect"), "{told:?}");
    exporting.finish().await;
    assert_eq!(counts(&counted), [0, 5, 0]);
}

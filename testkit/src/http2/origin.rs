//! An origin.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::StatusCode;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::sides::{Cut, Receiving, Sending};
use super::{RUNTIME, fields, pairs};
use crate::PATIENCE;
use crate::message::{Framing, Head, Request};

/// What an origin announces.
#[derive(Clone, Copy, Debug)]
pub struct OriginSettings {
    /// How many streams may be open at once on a connection.
    pub max_streams: u32,
    /// How much of a body may be under way before it is read.
    pub stream_window: u32,
    /// The same for all streams together.
    pub connection_window: u32,
}

impl Default for OriginSettings {
    fn default() -> Self {
        Self { max_streams: 1000, stream_window: 1 << 20, connection_window: 16 << 20 }
    }
}

#[derive(Debug, Default)]
struct Records {
    /// What each connection carries and carried: streams that are open, and the most at once.
    connections: Vec<Load>,
    /// Heads, in the order in which they came.
    requests: Vec<Request>,
    ended: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    open: usize,
    most: usize,
}

#[derive(Debug, Default)]
struct Shared {
    records: Mutex<Records>,
    changed: Condvar,
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut Records) -> T) -> T {
        let result = change(&mut self.records.lock().unwrap());
        self.changed.notify_all();
        result
    }

    fn wait(&self, what: &str, until: impl Fn(&Records) -> bool) {
        let records = self.records.lock().unwrap();
        let (records, _) = self.changed.wait_timeout_while(records, PATIENCE, |r| !until(r)).unwrap();
        let (came, told) = (until(&records), format!("{records:?}"));
        drop(records);
        assert!(came, "the origin did not see {what} in {PATIENCE:?}: {told}");
    }
}

/// A server on a port of its own, for as long as this lives. Speaks HTTP/2 with prior knowledge.
#[derive(Debug)]
pub struct Http2Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

type Script = dyn Fn(Served) + Send + Sync;

impl Http2Origin {
    /// Runs `script` on each request, in a thread of its own.
    pub fn start(script: impl Fn(Served) + Send + Sync + 'static) -> Self {
        Self::with(OriginSettings::default(), script)
    }

    /// The same with other settings.
    pub fn with(settings: OriginSettings, script: impl Fn(Served) + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let (script, for_task): (Arc<Script>, _) = (Arc::new(script), shared.clone());
        RUNTIME.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let accepting = async {
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(serve(stream, settings, for_task.clone(), script.clone()));
                }
            };
            tokio::select! {
                () = accepting => {}
                _ = stopped => {}
            }
        });
        Self { address, shared, _stop: stop }
    }

    /// Answers each request with 200 and this body.
    pub fn saying(body: &str) -> Self {
        let body = body.to_owned();
        Self::start(move |mut served| {
            let _ = served.body();
            served.answer(200, &[], &body, &[]);
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.records.lock().unwrap().connections.len()
    }

    /// The most streams that were open at once, for each connection.
    pub fn most_streams(&self) -> Vec<usize> {
        self.shared.records.lock().unwrap().connections.iter().map(|load| load.most).collect()
    }

    /// The heads that came.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.records.lock().unwrap().requests.clone()
    }

    /// Waits until so many heads have come.
    pub fn wait_for_requests(&self, count: usize) {
        self.shared.wait("enough requests", |r| r.requests.len() >= count);
    }

    /// Waits until so many connections have ended.
    pub fn wait_for_ended(&self, count: usize) {
        self.shared.wait("enough connections end", |r| r.ended >= count);
    }
}

enum Command {
    GoAway,
    Abort,
}

async fn serve(stream: TcpStream, settings: OriginSettings, shared: Arc<Shared>, script: Arc<Script>) {
    let connection = shared.change(|r| {
        r.connections.push(Load::default());
        r.connections.len() - 1
    });
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(settings.max_streams)
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_send_buffer_size(64 * 1024)
        .enable_connect_protocol();
    let (commands, mut commanded) = unbounded_channel();
    if let Ok(mut server) = builder.handshake::<_, Bytes>(stream).await {
        loop {
            tokio::select! {
                accepted = server.accept() => {
                    let Some(Ok((request, respond))) = accepted else { break };
                    let served = Served::new(request, respond, connection, &shared, &commands);
                    let script = script.clone();
                    std::thread::spawn(move || script(served));
                }
                Some(command) = commanded.recv() => match command {
                    Command::GoAway => server.graceful_shutdown(),
                    Command::Abort => break,
                },
            }
        }
    }
    shared.change(|r| r.ended += 1);
}

/// One request at an origin.
#[derive(Debug)]
pub struct Served {
    /// Its head; `:authority` and `:scheme` stand among its fields.
    pub request: Request,
    /// On which connection it came, from 0.
    pub connection: usize,
    /// Its body.
    pub receiving: Receiving,
    respond: SendResponse<Bytes>,
    sending: Option<Sending>,
    shared: Arc<Shared>,
    commands: UnboundedSender<Command>,
}

impl Served {
    fn new(
        request: http::Request<RecvStream>,
        respond: SendResponse<Bytes>,
        connection: usize,
        shared: &Arc<Shared>,
        commands: &UnboundedSender<Command>,
    ) -> Self {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("*", |path| path.as_str());
        let mut list = vec![
            (":authority".to_owned(), parts.uri.authority().map_or("", |a| a.as_str()).to_owned()),
            (":scheme".to_owned(), parts.uri.scheme_str().unwrap_or_default().to_owned()),
        ];
        list.extend(pairs(&parts.headers));
        let head = Head { line: format!("{} {target} HTTP/2.0", parts.method), fields: list };
        let framing = match head.framing() {
            Some(framing) => framing,
            None if body.is_end_stream() => Framing::None,
            None => Framing::UntilClose,
        };
        let request = Request { head, body: Vec::new(), framing, trailers: Vec::new() };
        shared.change(|r| {
            r.requests.push(request.clone());
            let load = &mut r.connections[connection];
            load.open += 1;
            load.most = load.most.max(load.open);
        });
        Self {
            request,
            connection,
            receiving: Receiving(body),
            respond,
            sending: None,
            shared: shared.clone(),
            commands: commands.clone(),
        }
    }

    /// Reads the request's body and trailers into `request`.
    ///
    /// # Errors
    /// The request was cut.
    pub fn body(&mut self) -> Result<(), Cut> {
        self.request.trailers = self.receiving.rest(&mut self.request.body)?;
        Ok(())
    }

    /// Sends an interim response.
    pub fn interim(&mut self, status: u16, list: &[(&str, &str)]) {
        let mut response = http::Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.headers_mut() = fields(list);
        let _ = self.respond.send_informational(response);
    }

    /// Sends the head of a response whose body follows.
    pub fn begin(&mut self, status: u16, list: &[(&str, &str)]) {
        let mut response = http::Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.headers_mut() = fields(list);
        // That the stream has been cancelled is no failure of the origin's.
        self.sending = self.respond.send_response(response, false).ok().map(Sending);
    }

    /// The body of the response that was begun, if the stream still took it.
    pub fn sending(&mut self) -> Option<&mut Sending> {
        self.sending.as_mut()
    }

    /// Sends a whole response.
    pub fn answer(
        &mut self,
        status: u16,
        list: &[(&str, &str)],
        body: impl AsRef<[u8]>,
        trailers: &[(&str, &str)],
    ) {
        let mut response = http::Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.headers_mut() = fields(list);
        let end = body.as_ref().is_empty() && trailers.is_empty();
        let Ok(sender) = self.respond.send_response(response, end) else { return };
        let sending = self.sending.insert(Sending(sender));
        if !end {
            sending.send(body);
            sending.finish_with(trailers);
        }
    }

    /// Resets the stream.
    pub fn reset(&mut self, code: h2::Reason) {
        self.respond.send_reset(code);
    }

    /// Waits until the other side resets the stream; the code, or none where the connection ended.
    pub fn wait_for_reset(&mut self) -> Option<h2::Reason> {
        let respond = &mut self.respond;
        match &mut self.sending {
            Some(sending) => sending.wait_for_reset(),
            None => super::wait("a reset", std::future::poll_fn(|cx| respond.poll_reset(cx))).ok(),
        }
    }

    /// Tells the other side to open no more streams on the connection.
    pub fn go_away(&self) {
        let _ = self.commands.send(Command::GoAway);
    }

    /// Ends the connection without a word.
    pub fn abort(&self) {
        let _ = self.commands.send(Command::Abort);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let connection = self.connection;
        self.shared.change(|r| r.connections[connection].open -= 1);
    }
}

//! A name server that follows a script.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// How often its threads look whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

/// Bytes of an answer by UDP, at most; longer ones are cut, with the flag that says so.
const DATAGRAM: usize = 512;

/// A record. All have a time to live.
#[derive(Clone, Debug)]
pub enum DnsRecord {
    /// An address (A or AAAA).
    Address(IpAddr),
    /// An alias of a name (CNAME).
    Alias(String),
    /// A service (SRV): priority, weight, port, target.
    Service(u16, u16, u16, String),
}

/// What a name server does with questions for a name.
#[derive(Clone, Debug)]
pub enum DnsAnswer {
    /// Sends the records of the kind that is asked for, with this time to live in seconds.
    Records(u32, Vec<DnsRecord>),
    /// Says nothing.
    Silence,
    /// Sends this code: 2 for SERVFAIL, 3 for NXDOMAIN, 5 for REFUSED.
    Code(u8),
    /// Sends what is no DNS message, with the question's number before it.
    Garbage,
}

/// A name server on a free loopback port, by UDP and TCP. Names that it does not know do not exist. It ends when it is
/// dropped.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<HashMap<String, DnsAnswer>>,
    ending: AtomicBool,
    questions: AtomicUsize,
    by_tcp: AtomicUsize,
    /// Each answer begins with another of its records.
    turn: AtomicUsize,
}

impl DnsServer {
    /// Begins to answer.
    pub fn start() -> Self {
        // A port that is free for both.
        let (udp, tcp) = (0..100)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").ok()?;
                let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
                Some((udp, tcp))
            })
            .expect("no port is free for UDP and TCP");
        Self::over(udp, tcp, Arc::default())
    }

    /// Begins again at the address that another one had, with its script.
    pub fn restart(self) -> Self {
        let (address, shared) = (self.address, self.shared.clone());
        drop(self);
        shared.ending.store(false, Ordering::SeqCst);
        let until = Instant::now() + PATIENCE;
        loop {
            match (UdpSocket::bind(address), TcpListener::bind(address)) {
                (Ok(udp), Ok(tcp)) => return Self::over(udp, tcp, shared),
                (udp, tcp) => assert!(Instant::now() < until, "{address} stays taken: {udp:?} {tcp:?}"),
            }
        }
    }

    fn over(udp: UdpSocket, tcp: TcpListener, shared: Arc<Shared>) -> Self {
        let address = udp.local_addr().expect("a bound socket has an address");
        udp.set_read_timeout(Some(LOOK)).expect("time-outs can be set");
        tcp.set_nonblocking(true).expect("sockets can be made not to block");
        let (for_udp, for_tcp) = (shared.clone(), shared.clone());
        let threads = vec![
            std::thread::spawn(move || serve_udp(&udp, &for_udp)),
            std::thread::spawn(move || serve_tcp(&tcp, &for_tcp)),
        ];
        Self { address, shared, threads }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this is what becomes of questions for a name, written without a dot at its end.
    pub fn set(&self, name: &str, answer: DnsAnswer) {
        self.shared.answers().insert(name.to_ascii_lowercase(), answer);
    }

    /// A name has these addresses, with this time to live in seconds.
    pub fn addresses(&self, name: &str, ttl: u32, addresses: &[IpAddr]) {
        let records = addresses.iter().copied().map(DnsRecord::Address).collect();
        self.set(name, DnsAnswer::Records(ttl, records));
    }

    /// A name does not exist any more.
    pub fn forget(&self, name: &str) {
        self.shared.answers().remove(&name.to_ascii_lowercase());
    }

    /// How many questions came.
    pub fn questions(&self) -> usize {
        self.shared.questions.load(Ordering::SeqCst)
    }

    /// How many of them by TCP.
    pub fn by_tcp(&self) -> usize {
        self.shared.by_tcp.load(Ordering::SeqCst)
    }

    /// Waits until so many more questions have come.
    pub fn wait_for_questions(&self, more: usize) {
        let (wanted, until) = (self.questions() + more, Instant::now() + PATIENCE);
        while self.questions() < wanted {
            assert!(Instant::now() < until, "only {} of {wanted} questions came", self.questions());
            std::thread::park_timeout(LOOK);
        }
    }

    /// Ends it: nobody answers at its address any more. What it was told is kept for [`Self::restart`].
    pub fn stop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn answers(&self) -> std::sync::MutexGuard<'_, HashMap<String, DnsAnswer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// The answer to a question; `None` for silence.
    fn answer(&self, question: &[u8], longest: usize) -> Option<Vec<u8>> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        let (name, kind, end) = parse(question)?;
        let answer = self.answers().get(&name).cloned().unwrap_or(DnsAnswer::Code(3));
        let (code, ttl, records) = match answer {
            DnsAnswer::Silence => return None,
            DnsAnswer::Garbage => return Some([&question[..2], &[0xff; 40]].concat()),
            DnsAnswer::Code(code) => (code, 0, Vec::new()),
            DnsAnswer::Records(ttl, records) => (0, ttl, records),
        };
        let mut encoded: Vec<_> = records.iter().filter_map(|record| record.encode(kind, ttl)).collect();
        if !encoded.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::SeqCst) % encoded.len();
            encoded.rotate_left(turn);
        }
        let mut message = header(question, code, encoded.len() as u16, false);
        message.extend_from_slice(&question[12..end]);
        encoded.iter().for_each(|record| message.extend_from_slice(record));
        if message.len() > longest {
            message = header(question, code, 0, true);
            message.extend_from_slice(&question[12..end]);
        }
        Some(message)
    }
}

fn header(question: &[u8], code: u8, answers: u16, is_cut: bool) -> Vec<u8> {
    let cut = if is_cut { 0x02 } else { 0 };
    // A response, authoritative, to a question that wanted recursion, which is available.
    let mut message = vec![question[0], question[1], 0x85 | cut, 0x80 | code, 0, 1];
    message.extend_from_slice(&answers.to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    message
}

/// The name, the kind and the end of the one question of a message.
fn parse(message: &[u8]) -> Option<(String, u16, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
    (at + 4 <= message.len()).then(|| (labels.join("."), kind, at + 4))
}

impl DnsRecord {
    /// The record for a question of this kind, of the name that was asked for; `None` if it is of another kind.
    fn encode(&self, kind: u16, ttl: u32) -> Option<Vec<u8>> {
        let (own, data) = match self {
            Self::Address(IpAddr::V4(ip)) => (1, ip.octets().to_vec()),
            Self::Address(IpAddr::V6(ip)) => (28, ip.octets().to_vec()),
            Self::Alias(name) => (5, encoded_name(name)),
            Self::Service(priority, weight, port, target) => {
                let numbers = [priority, weight, port].map(|number| number.to_be_bytes()).concat();
                (33, [numbers, encoded_name(target)].concat())
            }
        };
        if own != kind && own != 5 {
            return None;
        }
        // Its name is that of the question.
        let mut record = vec![0xc0, 12];
        record.extend_from_slice(&u16::to_be_bytes(own));
        record.extend_from_slice(&[0, 1]);
        record.extend_from_slice(&ttl.to_be_bytes());
        record.extend_from_slice(&(data.len() as u16).to_be_bytes());
        record.extend_from_slice(&data);
        Some(record)
    }
}

fn encoded_name(name: &str) -> Vec<u8> {
    let mut encoded = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        encoded.push(label.len() as u8);
        encoded.extend_from_slice(label.as_bytes());
    }
    encoded.push(0);
    encoded
}

fn serve_udp(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 4096];
    while !shared.is_ending() {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        if length >= 12
            && let Some(answer) = shared.answer(&buffer[..length], DATAGRAM)
        {
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    while !shared.is_ending() {
        match listener.accept() {
            Ok((stream, _)) => {
                let shared = shared.clone();
                threads.push(std::thread::spawn(move || serve_stream(stream, &shared)));
            }
            Err(_) => std::thread::park_timeout(LOOK),
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn serve_stream(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(LOOK));
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while !shared.is_ending() {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => received.extend_from_slice(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => return,
        }
        while received.len() >= 2 {
            let length = usize::from(u16::from_be_bytes([received[0], received[1]]));
            if received.len() < 2 + length {
                break;
            }
            let question: Vec<u8> = received.drain(..2 + length).skip(2).collect();
            shared.by_tcp.fetch_add(1, Ordering::SeqCst);
            if length >= 12
                && let Some(answer) = shared.answer(&question, usize::from(u16::MAX))
            {
                let framed = [&(answer.len() as u16).to_be_bytes()[..], &answer].concat();
                if stream.write_all(&framed).is_err() {
                    return;
                }
            }
        }
    }
}

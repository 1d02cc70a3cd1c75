//! A Redis of the benchmark's own.

use super::child::Child;
use crate::sys::sockets;
use anyhow::{Result, bail};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const START: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(1);
const BETWEEN: Duration = Duration::from_millis(20);
const PONG: &[u8] = b"+PONG\r\n";

/// A Redis that keeps nothing on disk; it ends with this.
pub(crate) struct Redis {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _child: Child,
}

/// Starts it on a free port, on the core of the caller, and waits until it answers.
pub(crate) fn start(program: &Path, directory: &Path) -> Result<Redis> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, sockets::free_port()?));
    let mut command = Command::new(program);
    command.current_dir(directory).stdout(Stdio::null());
    command.args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()]);
    command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
    let mut child = Child::start(command, &directory.join("redis.log"))?;
    let deadline = Instant::now() + START;
    while !answers(address) {
        child.ensure_running()?;
        if Instant::now() > deadline {
            bail!("Redis does not answer: {}", child.complaints());
        }
        thread::sleep(BETWEEN);
    }
    Ok(Redis { address, _child: child })
}

fn answers(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; PONG.len()];
        stream.read_exact(&mut answer)?;
        std::io::Result::Ok(answer == PONG)
    };
    ask().unwrap_or(false)
}

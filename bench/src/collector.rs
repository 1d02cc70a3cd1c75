//! A collector of traces that takes whatever is posted and throws it away.

use anyhow::{Result, ensure};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// No head is longer.
const HEAD: usize = 16 << 10;
/// Bodies are thrown away in pieces of this.
const PIECE: usize = 256 << 10;
/// An empty `ExportTraceServiceResponse`: everything was taken.
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";

/// Serves each connection on a thread of its own; exporters have few.
pub(crate) fn serve(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen)?;
    writeln!(io::stdout().lock(), "listening {}", listener.local_addr()?)?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::Builder::new().spawn(move || {
            if let Err(error) = take(stream) {
                let _ = writeln!(io::stderr().lock(), "collector: {error:#}");
            }
        })?;
    }
    Ok(())
}

fn take(mut stream: TcpStream) -> Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut filled = 0;
    loop {
        match head(&buffer[..filled])? {
            None => {
                ensure!(filled < HEAD, "a head without an end");
                match stream.read(&mut buffer[filled..]) {
                    Ok(0) => return Ok(()),
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Some((head, body)) => {
                let here = (filled - head).min(body);
                buffer.copy_within(head + here..filled, 0);
                filled -= head + here;
                if here < body {
                    // The buffer is empty then.
                    io::copy(&mut Read::by_ref(&mut stream).take((body - here) as u64), &mut io::sink())?;
                }
                stream.write_all(TAKEN)?;
            }
        }
    }
}

/// The lengths of a complete head and of the body behind it.
fn head(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head) = request.parse(bytes)? else { return Ok(None) };
    let length = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = match length {
        Some(length) => std::str::from_utf8(length.value)?.trim().parse()?,
        None => 0,
    };
    Ok(Some((head, length)))
}

#[cfg(test)]
mod tests {
    use super::{head, take};
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};

    #[test]
    fn posts_are_taken_in_any_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let mut client = TcpStream::connect(listener.local_addr().expect("has one")).expect("connects");
        let server = listener.accept().expect("accepts").0;
        let serving = std::thread::spawn(move || take(server));
        let large = vec![b'x'; 1 << 20];
        for body in [&b"abc"[..], &b""[..], &large] {
            let post =
                format!("POST /v1/traces HTTP/1.1\r\nHost: c\r\nContent-Length: {}\r\n\r\n", body.len());
            client.write_all(post.as_bytes()).and_then(|()| client.write_all(body)).expect("is taken");
        }
        client.shutdown(Shutdown::Write).expect("shuts down");
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).expect("answers");
        assert_eq!(String::from_utf8_lossy(&answers).matches("200 OK").count(), 3);
        serving.join().expect("no panic").expect("no error");
        assert!(head(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n").is_err());
    }
}

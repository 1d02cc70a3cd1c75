//! One request of a client with its response, whatever protocol it speaks.

use tollgate_testkit::http2::Exchange;
use tollgate_testkit::{Client, Response};

/// One request of a client with its response.
pub enum Called {
    Http1 { client: Client, chunked: bool, to_head: bool },
    Http2(Box<Exchange>),
}

impl Called {
    /// Sends body bytes; whether they were taken.
    pub fn data(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Http1 { client, chunked, .. } => client.try_send(framed(bytes, *chunked)).is_ok(),
            Self::Http2(exchange) => exchange.sending.send(bytes),
        }
    }

    /// Ends the request. Only one without a length may have trailers.
    pub fn end(&mut self, trailers: &[(&str, &str)]) {
        match self {
            Self::Http1 { client, chunked: true, .. } => {
                let lines: String =
                    trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let _ = client.try_send(format!("0\r\n{lines}\r\n"));
            }
            Self::Http1 { .. } => {}
            Self::Http2(exchange) => exchange.sending.finish_with(trailers),
        }
    }

    /// Waits for an interim response.
    pub fn interim(&mut self) -> Response {
        match self {
            Self::Http1 { client, .. } => client.head(),
            Self::Http2(exchange) => exchange.interim(),
        }
    }

    /// Waits for the final head, which must come.
    pub fn head(&mut self) -> Response {
        match self {
            Self::Http1 { client, .. } => client.head(),
            Self::Http2(exchange) => exchange.head().expect("a response head"),
        }
    }

    /// The rest of a response; the error has what there is of it, if there is anything.
    pub fn rest(&mut self, head: Response) -> Result<Response, Option<Response>> {
        match self {
            Self::Http1 { to_head: true, .. } => Ok(head),
            Self::Http1 { client, .. } => client.try_body(head).map_err(|b| b.partial.map(|p| *p)),
            Self::Http2(exchange) => exchange.try_body(head).map_err(|cut| cut.partial.map(|p| *p)),
        }
    }

    /// The whole response; the error has what there is of it, if there is anything.
    pub fn try_response(&mut self) -> Result<Response, Option<Response>> {
        match self {
            Self::Http1 { client, to_head: true, .. } => Ok(client.response_to_head()),
            Self::Http1 { client, .. } => client.try_response().map_err(|b| b.partial.map(|p| *p)),
            Self::Http2(exchange) => exchange.try_response().map_err(|cut| cut.partial.map(|p| *p)),
        }
    }

    /// The whole response, which must be complete.
    pub fn response(&mut self) -> Response {
        self.try_response().unwrap_or_else(|partial| panic!("the response is cut: {partial:?}"))
    }

    /// Sends a body and its end, while the response is received, which must be complete.
    pub fn exchange(&mut self, body: &[u8]) -> Response {
        match self {
            Self::Http1 { client, chunked, .. } => {
                let (mut sender, chunked) = (client.try_clone(), *chunked);
                std::thread::scope(|scope| {
                    scope.spawn(move || {
                        for part in body.chunks(30_000) {
                            sender.send(framed(part, chunked));
                        }
                        if chunked {
                            sender.send("0\r\n\r\n");
                        }
                    });
                    client.response()
                })
            }
            Self::Http2(exchange) => {
                let Exchange { sending, reply } = &mut **exchange;
                std::thread::scope(|scope| {
                    scope.spawn(move || {
                        assert!(sending.send(body));
                        sending.finish();
                    });
                    reply.try_response().unwrap()
                })
            }
        }
    }

    /// Gives it up: resets the stream, or the connection.
    pub fn cancel(self) {
        match self {
            Self::Http1 { client, .. } => client.reset(),
            Self::Http2(exchange) => exchange.cancel(),
        }
    }
}

fn framed(bytes: &[u8], chunked: bool) -> Vec<u8> {
    match chunked {
        true => [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat(),
        false => bytes.to_vec(),
    }
}

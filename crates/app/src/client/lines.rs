//! A response that comes line by line and has no end of its own.

use std::ops::ControlFlow;

use anyhow::{Result, bail};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};

use super::Unreachable;

/// The longest line that is taken.
const LINE_MAX: usize = 1 << 20;

/// Calls `line` with each line, without its line feed.
pub(super) async fn read<B>(
    mut body: B,
    place: &str,
    line: &mut impl FnMut(&str) -> Result<ControlFlow<()>>,
) -> Result<()>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut held: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Unreachable::one(place.to_owned(), format!("it has gone away: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        // Only what is new can hold an end.
        let mut seen = held.len();
        held.extend_from_slice(&data);
        let mut begin = 0;
        while let Some(length) = held[seen..].iter().position(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(&held[begin..seen + length]);
            if line(&text)?.is_break() {
                return Ok(());
            }
            begin = seen + length + 1;
            seen = begin;
        }
        held.drain(..begin);
        if held.len() > LINE_MAX {
            bail!("the running instance sends something else than lines");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Body, Bytes, ControlFlow, LINE_MAX, Result, read};
    use hyper::body::Frame;
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    struct Pieces(VecDeque<String>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece.into()))))
        }
    }

    fn lines_of(pieces: &[&str], most: usize) -> Result<Vec<String>> {
        let body = Pieces(pieces.iter().map(|piece| (*piece).to_owned()).collect());
        let mut lines = Vec::new();
        let mut take = |line: &str| {
            lines.push(line.to_owned());
            Ok(if lines.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(read(body, "here", &mut take))?;
        Ok(lines)
    }

    #[test]
    fn lines_are_found_wherever_they_are_cut() {
        let text = "one\n\nthree\nfour";
        for cut in 0..text.len() {
            let (first, second) = text.split_at(cut);
            assert_eq!(lines_of(&[first, second], 9).unwrap(), ["one", "", "three"], "{cut}");
        }
        assert_eq!(lines_of(&["one\ntwo\nthree\n"], 2).unwrap(), ["one", "two"]);
        assert!(lines_of(&["x".repeat(LINE_MAX + 1).as_str(), "\n"], 9).is_err());
    }
}

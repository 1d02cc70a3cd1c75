//! Chunked bodies: however a body is cut into reads, the result is the same.

use tollgate_http1::Malformed;
use tollgate_http1::chunked::Decoder;

const TRAILERS_MAX: usize = 1024;

/// What became of a body.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    data: Vec<u8>,
    consumed: usize,
    done: bool,
    trailers: Vec<u8>,
}

/// The first byte says how to cut the rest.
pub(crate) fn run(data: &[u8]) {
    let Some((cut, body)) = data.split_first() else { return };
    let whole = decode(body, |_| body.len());
    let size = usize::from(cut % 64) + 1;
    assert_eq!(decode(body, |_| 1), whole, "byte by byte");
    assert_eq!(decode(body, |_| size), whole, "in pieces of {size}");
    // Once in the middle of anything.
    let at = usize::from(*cut).min(body.len());
    let two = |from: usize| if from == 0 { at.max(1) } else { body.len() };
    assert_eq!(decode(body, two), whole, "cut at {at}");
    if let Ok(outcome) = whole {
        assert!(outcome.consumed <= body.len() && outcome.data.len() <= outcome.consumed);
        assert!(outcome.done || outcome.consumed == body.len(), "bytes were left though more are needed");
    }
}

/// Decodes in reads; `size` gives the size of the read that begins at an offset.
fn decode(body: &[u8], size: impl Fn(usize) -> usize) -> Result<Outcome, Malformed> {
    let mut decoder = Decoder::new(TRAILERS_MAX);
    let mut outcome = Outcome::default();
    let mut at = 0;
    while at < body.len() && !outcome.done {
        let mut read = body[at..body.len().min(at + size(at))].to_vec();
        at += read.len();
        let decoded = decoder.decode(&mut read)?;
        outcome.data.extend_from_slice(&read[decoded.data]);
        outcome.consumed += decoded.consumed;
        outcome.done = decoded.done;
    }
    if outcome.done {
        outcome.trailers = decoder.trailers()?;
    }
    Ok(outcome)
}

//! Heads: what is parsed lies inside the bytes, and depends neither on what follows the head nor on how
//! it was cut into reads.

use tollgate_http1::{HeadLimits, Malformed, Progress, framing, request, response};
use tollgate_message::{FieldList, Fields, Method};

/// Prefixes of longer heads are not all tried: that would take quadratic time.
const ALL_PREFIXES: usize = 512;

/// Parses bytes as a request head.
pub(crate) fn request(data: &[u8]) {
    let parse = |bytes: &[u8]| {
        let mut list = FieldList::default();
        let parsed = request::parse(bytes, &HeadLimits::default(), &mut list);
        parsed.map(|progress| (progress, list))
    };
    let Ok((Progress::Complete(line), list)) = parse(data) else { return };
    let head = line.view(data, &list);
    assert!(line.end <= data.len() && !head.method_bytes.is_empty() && !head.target.is_empty());
    fields(&head.fields);
    // Reading the length must not depend on anything but the head.
    let _ = framing::request_body(&head);
    hold(data, line.end, |bytes| Ok(parse(bytes)?.0), Progress::Complete(line));
}

/// Parses bytes as a response head.
pub(crate) fn response(data: &[u8]) {
    let parse = |bytes: &[u8]| {
        let mut list = FieldList::default();
        let parsed = response::parse(bytes, &HeadLimits::default(), &mut list);
        parsed.map(|progress| (progress, list))
    };
    let Ok((Progress::Complete(line), list)) = parse(data) else { return };
    let head = line.view(data, &list);
    assert!(line.end <= data.len() && (100..1000).contains(&head.status));
    fields(&head.fields);
    for method in [Method::Get, Method::Head, Method::Connect] {
        let _ = framing::response_body(method, &head);
    }
    hold(data, line.end, |bytes| Ok(parse(bytes)?.0), Progress::Complete(line));
}

/// Names and values are such that they can be written into another head as they are.
fn fields(fields: &Fields<'_>) {
    for (name, value, _) in fields.iter() {
        assert!(!name.is_empty() && name.iter().all(u8::is_ascii_graphic), "{name:?}");
        assert!(!name.contains(&b':'), "{name:?}");
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{value:?}");
        assert!(!value.starts_with(b" ") && !value.ends_with(b" "), "{value:?}");
    }
}

/// The head alone gives the same, and its beginnings are neither a head nor an error.
fn hold<T: PartialEq + std::fmt::Debug>(
    data: &[u8],
    end: usize,
    parse: impl Fn(&[u8]) -> Result<Progress<T>, Malformed>,
    expected: Progress<T>,
) {
    assert_eq!(parse(&data[..end]), Ok(expected), "what follows the head changes it");
    let step = end.div_ceil(ALL_PREFIXES).max(1);
    for cut in (0..end).step_by(step) {
        assert_eq!(parse(&data[..cut]), Ok(Progress::Partial), "the first {cut} of {end} bytes");
    }
}

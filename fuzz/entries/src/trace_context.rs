//! Trace contexts: what is read is written as it was, and what goes on stays as it is.

use tollgate_telemetry::trace::{TraceParent, state};

/// Bytes in front of the first line end are a `traceparent`, each line behind it is a `tracestate`.
pub(crate) fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let value = lines.next().unwrap_or_default();
    if let Some(parent) = TraceParent::parse(value) {
        let mut written = Vec::new();
        let at = parent.write(&mut written);
        assert_eq!(TraceParent::parse(&written), Some(parent), "written as {written:?}");
        assert_eq!((written.len(), &written[at..at + 16]), (55, &value[36..52]));
        // Version and flags are the only parts that may be another's.
        assert_eq!(written[2..53], value[2..53]);
    }
    let (mut once, mut twice) = (b"left over".to_vec(), Vec::new());
    state::join(lines, &mut once);
    assert!(once.len() <= state::LENGTH_MAX, "{} bytes", once.len());
    assert!(once.iter().all(|byte| (b' '..=b'~').contains(byte)), "{once:?}");
    state::join(std::iter::once(once.as_slice()), &mut twice);
    assert_eq!(twice, once);
}

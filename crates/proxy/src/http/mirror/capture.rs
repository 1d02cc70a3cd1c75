//! Keeping a response as it passes.

use crate::mirroring::comparer::Captured;

/// A response that is kept as it passes, its body up to a limit.
#[derive(Debug)]
pub struct Capture {
    kept: Captured,
    max_body: usize,
}

impl Capture {
    /// Of whose body so many bytes are kept.
    pub fn new(max_body: usize) -> Self {
        Self { kept: Captured::default(), max_body }
    }

    /// The head has come.
    pub fn head(&mut self, status: u16, head: &[u8]) {
        self.kept.status = status;
        self.kept.head = head.to_vec();
    }

    /// A part of the body has come. A body that is too large is not kept at all.
    pub fn body(&mut self, part: &[u8]) {
        if self.kept.too_large || self.kept.body.len() + part.len() > self.max_body {
            self.kept.too_large = true;
            self.kept.body = Vec::new();
        } else {
            self.kept.body.extend_from_slice(part);
        }
    }

    /// Whether the rest of the body, of so many bytes, will be kept; what is too large may go another way.
    pub fn keeps(&mut self, remaining: u64) -> bool {
        if self.kept.body.len() as u64 + remaining > self.max_body as u64 {
            self.kept.too_large = true;
            self.kept.body = Vec::new();
        }
        !self.kept.too_large
    }

    /// The trailers have come, perhaps as the end of a body in chunks.
    pub fn trailers(&mut self, lines: &[u8]) {
        let lines = lines.strip_prefix(b"0\r\n").unwrap_or(lines);
        self.kept.trailers.extend_from_slice(lines);
    }

    /// What was kept.
    pub fn into_captured(self) -> Captured {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::Capture;

    #[test]
    fn a_body_is_kept_whole_or_not_at_all() {
        let mut capture = Capture::new(4);
        capture.body(b"ab");
        capture.body(b"cd");
        capture.trailers(b"0\r\nX-T: 1\r\n\r\n");
        let kept = capture.into_captured();
        assert_eq!(
            (&kept.body[..], kept.too_large, &kept.trailers[..]),
            (&b"abcd"[..], false, &b"X-T: 1\r\n\r\n"[..])
        );
        let mut capture = Capture::new(4);
        capture.body(b"ab");
        assert!(capture.keeps(2) && !capture.keeps(3) && !capture.keeps(1));
        let mut capture = Capture::new(4);
        capture.body(b"abcde");
        capture.body(b"f");
        let kept = capture.into_captured();
        assert!(kept.body.is_empty() && kept.too_large);
    }
}

//! Which hosts of the table a request's host falls under.

use std::ops::ControlFlow;

use memchr::memchr_iter;

use crate::byte_map::{ByteMap, Lengths};
use crate::host_pattern::{HostKind, HostPattern};

const EXACT: u32 = 0;
const SUFFIX: u32 = 1;

/// Finds host patterns by name. Hosts are numbered by their place in the list that this is built from.
#[derive(Debug)]
pub(crate) struct HostIndex {
    names: ByteMap<u32>,
    exact: Lengths,
    suffixes: Lengths,
    any: Option<u32>,
}

impl HostIndex {
    /// An index of these distinct patterns.
    pub(crate) fn new(patterns: &[HostPattern]) -> Self {
        let mut index = Self {
            names: ByteMap::with_room_for(patterns.len()),
            exact: Lengths::default(),
            suffixes: Lengths::default(),
            any: None,
        };
        for (number, pattern) in (0..).zip(patterns) {
            match &pattern.0 {
                HostKind::Any => index.any = Some(number),
                HostKind::Exact(name) => {
                    index.names.insert(EXACT, name.as_bytes(), number);
                    index.exact.add(name.len());
                }
                HostKind::Suffix(suffix) => {
                    index.names.insert(SUFFIX, suffix.as_bytes(), number);
                    index.suffixes.add(suffix.len());
                }
            }
        }
        index
    }

    /// Calls `visit` with each host that takes `name`, the most specific first, until it breaks.
    #[inline]
    pub(crate) fn walk<B>(
        &self,
        name: &[u8],
        mut visit: impl FnMut(u32) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if self.exact.may_hold(name.len())
            && let Some(host) = self.names.get(EXACT, name)
        {
            visit(host)?;
        }
        if !self.suffixes.is_empty() {
            // From the left, so that the longest suffix comes first; a label must stand in front.
            for dot in memchr_iter(b'.', name).filter(|dot| *dot > 0) {
                let suffix = &name[dot..];
                if self.suffixes.may_hold(suffix.len())
                    && let Some(host) = self.names.get(SUFFIX, suffix)
                {
                    visit(host)?;
                }
            }
        }
        match self.any {
            Some(host) => visit(host),
            None => ControlFlow::Continue(()),
        }
    }
}

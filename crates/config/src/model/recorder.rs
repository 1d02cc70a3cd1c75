//! The flight recorder.

use crate::section::section;
use crate::units::{Duration, Percent, Size};

section! {
    /// What is kept of ended exchanges, to be asked for with `why`: all that failed, slow ones, and a sample of
    /// the others.
    pub struct Recorder {
        /// How much memory they may take, over all workers. The oldest of the most frequent cause goes first.
        memory: Size<65_536, 17_179_869_184> = default(Size::kib(8192));
        /// An exchange that takes this long is slow.
        slow: Duration<1> = default(Duration::seconds(1));
        /// The share of the others that is kept.
        sample: Percent = default(Percent::whole(1));
    }
}

impl Recorder {
    /// What the document means where it says nothing.
    pub(crate) const fn standard() -> Self {
        Self { memory: Size::kib(8192), slow: Duration::seconds(1), sample: Percent::whole(1) }
    }
}

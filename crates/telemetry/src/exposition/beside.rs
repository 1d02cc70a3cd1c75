//! What is made from files beside the document.

use super::Writer;
use crate::families;

/// Writes how many consumers are in force, and by kind how many files cannot be used.
pub fn write_beside(writer: &mut Writer, consumers: usize, stuck: &[(&str, usize)]) {
    writer.family(&families::CONSUMERS);
    writer.series(&families::CONSUMERS, &[], consumers as u64);
    writer.family(&families::FILES_STUCK);
    for (kind, files) in stuck {
        writer.series(&families::FILES_STUCK, &[("kind", kind)], *files as u64);
    }
}

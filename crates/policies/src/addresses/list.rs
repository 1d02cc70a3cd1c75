//! Lists of blocks in files: one a line, with comments.

use std::fmt;

use super::{AddressBlock, BadBlock};

/// The most blocks that a list may have.
pub const MAX_BLOCKS: usize = 2_000_000;

/// The most lines that are told of a list that cannot be read.
const MAX_TOLD: usize = 20;

/// How much of a line is told.
const MAX_SHOWN: usize = 60;

/// Why a list cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadList {
    /// It has more blocks than [`MAX_BLOCKS`].
    TooLong,
    /// It has lines that are no blocks.
    Lines {
        /// The first of them.
        told: Vec<BadLine>,
        /// How many there are.
        count: usize,
    },
}

/// A line that is no block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: usize,
    /// What stands there, shortened.
    pub text: String,
    /// What is wrong with it.
    pub problem: BadBlock,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: `{}`: {}", self.number, self.text, self.problem)
    }
}

impl fmt::Display for BadList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (told, count) = match self {
            Self::TooLong => return write!(f, "the list has more than {MAX_BLOCKS} blocks"),
            Self::Lines { told, count } => (told, count),
        };
        for (index, line) in told.iter().enumerate() {
            write!(f, "{}{line}", if index == 0 { "" } else { "\n" })?;
        }
        match count - told.len() {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for BadList {}

/// Reads a list: a block or an address a line, blanks around it, comments behind `#` or `;` (as
/// published block lists have them), empty lines. A list with one wrong line is refused whole: half a deny list
/// would let in those whom the other half names.
pub fn parse(text: &str) -> Result<Vec<AddressBlock>, BadList> {
    let (mut blocks, mut told, mut count) = (Vec::new(), Vec::new(), 0);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let content = line.split(['#', ';']).next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        match content.parse() {
            Ok(_) if blocks.len() == MAX_BLOCKS => return Err(BadList::TooLong),
            Ok(block) => blocks.push(block),
            Err(problem) => {
                count += 1;
                if told.len() < MAX_TOLD {
                    let text = content.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
                    told.push(BadLine { number: index + 1, text, problem });
                }
            }
        }
    }
    if count == 0 { Ok(blocks) } else { Err(BadList::Lines { told, count }) }
}

//! Tables of text.

use super::{Tone, painted};

/// A table; each column is as wide as its widest cell.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<(String, Tone)>>,
}

/// Where a column's texts stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Texts.
    Left,
    /// Figures.
    Right,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(columns: &[(&'static str, Side)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, Tone)>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table, its headings first; nothing if it has no rows.
    pub fn text(&self, colours: bool) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|(text, _)| width(text));
                cells.chain([width(self.columns[column].0)]).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        let headings: Vec<_> =
            self.columns.iter().map(|(name, _)| ((*name).to_owned(), Tone::Quiet)).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for (column, (cell, tone)) in row.iter().enumerate() {
                let (Some((_, side)), Some(wanted)) = (self.columns.get(column), widths.get(column)) else {
                    continue;
                };
                let space = " ".repeat(wanted.saturating_sub(width(cell)));
                let cell = painted(cell, *tone, colours && !cell.is_empty());
                line.push_str(if column == 0 { "" } else { "  " });
                match side {
                    Side::Left => line.extend([cell, space]),
                    Side::Right => line.extend([space, cell]),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Characters; what names and figures are made of is one column wide each.
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::{Side, Table, Tone};

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut table = Table::new(&[("NAME", Side::Left), ("N", Side::Right), ("WHY", Side::Left)]);
        assert_eq!(table.text(true), "");
        let cells = |texts: [&str; 3]| texts.map(|text| (text.to_owned(), Tone::Bad));
        table.row(cells(["a", "1,000", ""]));
        table.row(cells(["bµbbb", "7", "no"]));
        assert_eq!(table.text(false), "NAME       N  WHY\na      1,000\nbµbbb      7  no\n");
        assert!(table.text(true).contains("\x1b[31mno\x1b[0m"));
    }
}

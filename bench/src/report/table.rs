//! A table, aligned for a terminal or as Markdown.

/// Rows of text under a head.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// So many columns from the left hold words; the others hold figures and are aligned right.
    words: usize,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(head: &[&str], words: usize) -> Self {
        Self { rows: vec![head.iter().map(|name| (*name).to_owned()).collect()], words }
    }

    /// Appends a row; it must have as many cells as the head.
    pub(crate) fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.rows[0].len());
        self.rows.push(row);
    }

    /// Aligned with blanks.
    pub(crate) fn text(&self) -> String {
        let widths = self.widths();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if column < self.words { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// As a Markdown table, with a line break at the end.
    pub(crate) fn markdown(&self) -> String {
        let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
        let rule = (0..self.rows[0].len()).map(|column| if column < self.words { "---|" } else { "--:|" });
        let mut text = line(&self.rows[0]) + "|" + &rule.collect::<String>() + "\n";
        text.extend(self.rows[1..].iter().map(line));
        text
    }

    fn widths(&self) -> Vec<usize> {
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        (0..self.rows[0].len()).map(width).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn words_go_left_and_figures_right() {
        let mut table = Table::new(&["name", "µs"], 1);
        table.push(vec!["a".to_owned(), "10.5".to_owned()]);
        assert_eq!(table.text(), "name    µs\na     10.5");
        assert_eq!(table.markdown(), "| name | µs |\n|---|--:|\n| a | 10.5 |\n");
    }
}

//! Tables for eyes: columns as wide as they need to be, two spaces between them.

use super::text::plain;

/// A heading and rows of as many cells.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(heading: [&str; N]) -> Self {
        Self {
            rows: vec![heading.map(str::to_owned)],
        }
    }

    pub(super) fn push(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| plain(&cell)));
    }

    /// The lines of the table; none when it has no rows.
    pub(super) fn lines(&self) -> Vec<String> {
        if self.rows.len() < 2 {
            return Vec::new();
        }
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        self.rows.iter().map(|row| line(row, &widths)).collect()
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<_> = row
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    cells.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_lines_have_no_tail() {
        let mut table = Table::new(["NAME", "STATE", "NOTE"]);
        table.push(["a/1".to_owned(), "open".to_owned(), String::new()]);
        table.push(["größe/22".to_owned(), "over".to_owned(), "x".to_owned()]);
        assert_eq!(
            table.lines(),
            [
                "NAME      STATE  NOTE",
                "a/1       open",
                "größe/22  over   x",
            ]
        );
    }

    #[test]
    fn a_cell_stays_in_its_line() {
        let mut table = Table::new(["REASON"]);
        table.push(["a\nb".to_owned()]);
        assert_eq!(table.lines(), ["REASON", "a\\u{a}b"]);
    }

    #[test]
    fn nothing_to_show_is_no_table() {
        assert!(Table::new(["NAME"]).lines().is_empty());
    }
}

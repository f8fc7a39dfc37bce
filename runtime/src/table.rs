//! Text tables for reports.

use std::fmt::{Formatter, Result};

/// Widest column: cells that are longer end where they end, and the others are not filled up to them.
const MOST_WIDTH: usize = 400;

/// Rows under a header, columns aligned: numbers right, the rest left.
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(header: &[&'static str]) -> Self {
        Table { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as the header has.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Writes the table, each line ended.
    pub fn write(&self, f: &mut Formatter<'_>) -> Result {
        let column = |i: usize| self.rows.iter().filter_map(move |r| r.get(i));
        let width = |i: usize| {
            column(i).map(|c| c.chars().count()).chain([self.header[i].len()]).max().unwrap_or(0).min(MOST_WIDTH)
        };
        let numeric = |i: usize| column(i).all(|c| c.starts_with(|d: char| d.is_ascii_digit() || d == '-'));
        let layout: Vec<(usize, bool)> = (0..self.header.len()).map(|i| (width(i), numeric(i))).collect();
        let header: Vec<String> = self.header.iter().map(ToString::to_string).collect();
        for row in std::iter::once(&header).chain(&self.rows) {
            let cells =
                row.iter().zip(&layout).map(
                    |(cell, &(width, right))| {
                        if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                    },
                );
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown(Table);

    impl std::fmt::Display for Shown {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            self.0.write(f)
        }
    }

    #[test]
    fn numbers_stand_right() {
        let mut table = Table::new(&["name", "n"]);
        table.row(vec!["a".into(), "10".into()]);
        table.row(vec!["longer".into(), "7".into()]);
        assert_eq!(Shown(table).to_string(), "name     n\na       10\nlonger   7\n");
    }

    /// Names in a stranger's file are as long as it likes.
    #[test]
    fn a_long_cell_makes_no_other_long() {
        let mut table = Table::new(&["name", "n"]);
        let long = "x".repeat(1 << 17);
        table.row(vec![long.clone(), "10".into()]);
        (0..9).for_each(|_| table.row(vec!["a".into(), "7".into()]));
        let text = Shown(table).to_string();
        assert!(text.contains(&long) && text.len() < long.len() + 11 * (MOST_WIDTH + 5), "{}", text.len());
    }
}

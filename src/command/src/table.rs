//! Tables as commands print them: each column as wide as its widest cell.

use std::fmt;

use zeroize::Zeroizing;

/// The blanks between two columns.
const GAP: usize = 2;

/// A column: its heading, and to which side its cells stand. Numbers stand to the right.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// Texts.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Left(heading) | Self::Right(heading) => heading,
        }
    }
}

/// Rows of cells. They may hold keys, so they are wiped when the table is dropped.
pub struct Table<const N: usize> {
    columns: [Column; N],
    indent: usize,
    rows: Vec<[Zeroizing<String>; N]>,
}

impl<const N: usize> Table<N> {
    /// A table of these columns. The line of headings is left out when none of them has a text.
    pub fn new(columns: [Column; N]) -> Self {
        Self { columns, indent: 0, rows: Vec::new() }
    }

    /// The same, so many blanks from the left.
    #[must_use]
    pub fn indented(mut self, blanks: usize) -> Self {
        self.indent = blanks;
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(Zeroizing::new));
    }

    /// The table, a line for each row, wiped when it is dropped. No line ends in blanks.
    pub fn text(&self) -> Zeroizing<String> {
        let headings = self.columns.map(Column::heading);
        let rows = self.rows.iter().map(|row| row.each_ref().map(|cell| cell.as_str()));
        let shown = headings.iter().any(|heading| !heading.is_empty());
        let lines: Vec<[&str; N]> = shown.then_some(headings).into_iter().chain(rows).collect();
        let widths = widths(&lines);
        // A text that grows would leave copies of keys behind. Padding counts characters, room bytes.
        let blanks = self.indent + widths.iter().sum::<usize>() + GAP * N + 1;
        let bytes = lines.iter().flatten().map(|cell| cell.len()).sum::<usize>() + blanks * lines.len();
        let mut text = Zeroizing::new(String::with_capacity(bytes));
        for cells in lines {
            self.push_line(&mut text, &widths, cells);
        }
        text
    }

    fn push_line(&self, text: &mut String, widths: &[usize; N], cells: [&str; N]) {
        let mut blanks = self.indent;
        for ((column, width), cell) in self.columns.iter().zip(widths).zip(cells) {
            let padding = width - width_of(cell);
            let (before, after) = match column {
                Column::Left(_) => (0, padding),
                Column::Right(_) => (padding, 0),
            };
            blanks += before;
            if !cell.is_empty() {
                text.extend(std::iter::repeat_n(' ', blanks));
                text.push_str(cell);
                blanks = 0;
            }
            blanks += after + GAP;
        }
        text.push('\n');
    }
}

/// The text, for tables without keys.
impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

fn widths<const N: usize>(lines: &[[&str; N]]) -> [usize; N] {
    lines.iter().fold([0; N], |mut widths, cells| {
        widths.iter_mut().zip(cells).for_each(|(width, cell)| *width = width_of(cell).max(*width));
        widths
    })
}

fn width_of(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::Column::{Left, Right};
    use super::*;

    fn text<const N: usize>(columns: [Column; N], rows: &[[&str; N]]) -> String {
        let mut table = Table::new(columns);
        rows.iter().for_each(|row| table.row(row.map(str::to_owned)));
        table.to_string()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "7", "x"], ["a-long-name", "1000", "y"]];
        assert_eq!(
            text([Left("NAME"), Right("N"), Left("REST")], &rows),
            "NAME            N  REST\na               7  x\na-long-name  1000  y\n"
        );
    }

    #[test]
    fn no_line_ends_in_blanks() {
        let rows = [["a", "", ""], ["", "b", ""], ["", "", "1"]];
        assert_eq!(text([Left(""), Left(""), Right("LAST")], &rows), "      LAST\na\n   b\n         1\n");
    }

    #[test]
    fn a_table_without_headings_or_rows_has_no_line_of_them() {
        assert_eq!(text([Left(""), Left("")], &[["key", "value"]]), "key  value\n");
        assert_eq!(text([Left(""), Left("")], &[]), "");
        assert_eq!(text([Left("A"), Right("B")], &[]), "A  B\n");
    }

    #[test]
    fn letters_of_several_bytes_count_once() {
        assert_eq!(
            text([Left("ZONE"), Left("")], &[["zürich", "1"], ["x", "2"]]),
            "ZONE\nzürich  1\nx       2\n"
        );
    }

    #[test]
    fn a_table_can_stand_to_the_right_and_has_room_for_all_of_it_at_once() {
        let mut table = Table::new([Left("A"), Right("B")]).indented(2);
        table.row(["é".repeat(40), "1".to_owned()]);
        let text = table.text();
        assert_eq!(text.lines().next(), Some(format!("  A{}B", " ".repeat(41)).as_str()));
        assert!(text.len() <= text.capacity() && text.capacity() < 400, "{}", text.capacity());
    }
}

//! Printing: results to stdout, explanations to stderr, and a reader who hangs up is no error.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};
use std::ops::ControlFlow;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::domain::time::Timestamp;

/// An answer as people read it.
#[derive(Debug, Default)]
pub struct Listing {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// What `-q` prints, a line each.
    pub results: Vec<String>,
    /// What explains the answer, to stderr.
    pub notes: Vec<String>,
}

#[derive(Debug)]
struct Column {
    title: &'static str,
    right: bool,
}

impl Listing {
    /// Columns from their titles; a title with `>` in front is of numbers, set to the right.
    pub fn new(titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| {
            title.strip_prefix('>').map_or(Column { title, right: false }, |title| Column { title, right: true })
        };
        Self { columns: titles.iter().map(column).collect(), ..Self::default() }
    }

    /// Adds a row, and what `-q` prints for it.
    pub fn row(&mut self, result: impl Display, cells: impl IntoIterator<Item = String>) {
        self.results.push(result.to_string());
        self.rows.push(cells.into_iter().collect());
    }

    /// Names and values of one thing, those without a value left out.
    pub fn of_one(result: impl Display, facts: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Self {
        let mut listing = Self { columns: Vec::new(), ..Self::default() };
        for (name, value) in facts {
            if let Some(value) = value {
                listing.rows.push(vec![name.to_owned(), value]);
            }
        }
        listing.results.push(result.to_string());
        listing
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// The table as text; empty without rows.
    pub fn text(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut table = Table::new();
        // Cells are not broken into lines: what is printed can be cut, searched and copied.
        table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if !self.columns.is_empty() {
            table.set_header(self.columns.iter().map(|column| column.title.to_uppercase()));
        }
        table.add_rows(&self.rows);
        let last = table.column_count().saturating_sub(1);
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if index == last { 0 } else { 2 }));
            if self.columns.get(index).is_some_and(|column| column.right) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let lines: Vec<_> = table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }
}

/// Prints a line or several to stdout.
pub fn result(text: &str) {
    let _ = one_of_many(text);
}

/// The same; breaks when nobody reads any more.
pub fn one_of_many(text: &str) -> ControlFlow<()> {
    let mut stdout = std::io::stdout().lock();
    let Err(error) = writeln!(stdout, "{text}").and_then(|()| stdout.flush()) else {
        return ControlFlow::Continue(());
    };
    if error.kind() != ErrorKind::BrokenPipe {
        explain(&format!("cannot write to stdout: {error}"));
    }
    ControlFlow::Break(())
}

/// Prints a line or several to stderr.
pub fn explain(text: &str) {
    // There is nobody left to tell when stderr is gone.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// An instant for people, in UTC, without the zeros at its end.
pub fn instant(at: Timestamp) -> String {
    let text = at.to_string();
    let text = text.trim_end_matches('Z');
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    format!("{text}Z")
}

/// `-` where there is nothing.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Tags, or anything like them, in one line.
pub fn pairs(map: &std::collections::BTreeMap<String, String>) -> Option<String> {
    (!map.is_empty()).then(|| map.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_straight_columns_and_no_blanks_at_the_ends() {
        let mut listing = Listing::new(&["cidr", ">free"]);
        listing.row("10.0.0.0/8", ["10.0.0.0/8".to_owned(), "7".to_owned()]);
        listing.row("192.168.0.0/16", ["192.168.0.0/16".to_owned(), "65536".to_owned()]);
        assert_eq!(listing.text(), "CIDR             FREE\n10.0.0.0/8          7\n192.168.0.0/16  65536");
        assert_eq!(listing.results, ["10.0.0.0/8", "192.168.0.0/16"]);
        assert_eq!(Listing::new(&["cidr"]).text(), "");
    }

    #[test]
    fn instants_are_short_and_in_utc() {
        for (text, expect) in [
            ("2019-03-01T12:00:00+02:00", "2019-03-01T10:00:00Z"),
            ("2019-03-01T12:00:00.250Z", "2019-03-01T12:00:00.25Z"),
            ("2019-03-01T12:00:00.000001Z", "2019-03-01T12:00:00.000001Z"),
        ] {
            assert_eq!(instant(text.parse().expect(text)), expect);
        }
    }
}

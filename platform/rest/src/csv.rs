//! Tables as CSV, which people edit with spreadsheets: no cell is taken for a formula, and every row has its line.

use std::collections::BTreeMap;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use csv::{ReaderBuilder, StringRecord, WriterBuilder};

use crate::problem::Problem;

/// What a spreadsheet would take for a formula, at the beginning of a cell.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// UTF-8, as spreadsheets expect it.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// The line of the file on which it begins, from 1; the first is that of the columns.
    pub line: u64,
    /// What is in it.
    pub cells: Cells,
}

/// The cells of a row by column, without those that are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cells(BTreeMap<&'static str, String>);

impl Cells {
    /// The text of a column, if it has any.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.0.get(column).map(String::as_str)
    }

    /// Whether every cell is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The rows of a table whose first row names some of these columns, at most `rows_max`. Another table is refused whole.
pub fn read(
    body: &[u8],
    columns: &[&'static str],
    rows_max: usize,
) -> Result<Vec<TableRow>, Problem> {
    let text = std::str::from_utf8(body).map_err(|cause| malformed(&cause))?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
    let given = reader.headers().map_err(|cause| malformed(&cause))?;
    let given = known_columns(given, columns)?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|cause| malformed(&cause))?;
        if rows.len() == rows_max {
            return Err(Problem::invalid(None, format!("must have at most {rows_max} rows")));
        }
        let line = record.position().map_or(0, csv::Position::line);
        let cells = given.iter().zip(&record).map(|(column, cell)| (*column, read_cell(cell)));
        rows.push(TableRow {
            line,
            cells: Cells(cells.filter(|(_, it)| !it.is_empty()).collect()),
        });
    }
    Ok(rows)
}

fn malformed(cause: &dyn ToString) -> Problem {
    Problem::malformed(format!("not CSV: {}", cause.to_string()))
}

fn known_columns(
    given: &StringRecord,
    columns: &[&'static str],
) -> Result<Vec<&'static str>, Problem> {
    let mut known = Vec::new();
    for column in given {
        match columns.iter().find(|known| **known == column) {
            Some(column) if !known.contains(column) => known.push(*column),
            Some(_) | None => {
                let reason = format!("must be one of {}, once", columns.join(", "));
                return Err(Problem::invalid(column, reason));
            }
        }
    }
    Ok(known)
}

/// 200 with a table.
pub fn reply<const N: usize>(
    columns: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Response {
    match write(columns, rows) {
        Ok(body) => ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(), // Memory cannot fail.
    }
}

fn write<const N: usize>(
    columns: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> csv::Result<Vec<u8>> {
    let mut writer = WriterBuilder::new().from_writer(BYTE_ORDER_MARK.as_bytes().to_vec());
    writer.write_record(columns)?;
    for row in rows {
        writer.write_record(row.map(|cell| write_cell(&cell)))?;
    }
    writer.into_inner().map_err(|cause| cause.into_error().into())
}

/// A cell that no program takes for a formula.
fn write_cell(text: &str) -> String {
    if text.starts_with(FORMULA) || text.starts_with('\'') {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// What [`write_cell`] made of it.
fn read_cell(cell: &str) -> String {
    match cell.strip_prefix('\'') {
        Some(text) if text.starts_with(FORMULA) || text.starts_with('\'') => text.to_owned(),
        Some(_) | None => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_is_read_as_it_was_written() {
        for (text, cell) in [
            ("+82 2 123", "'+82 2 123"),
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("-1", "'-1"),
            ("'=1", "''=1"),
            ("'x", "''x"),
            ("x=1", "x=1"),
            ("", ""),
        ] {
            assert_eq!(write_cell(text), cell);
            assert_eq!(read_cell(cell), text);
        }
        assert_eq!(read_cell("+82 2 123"), "+82 2 123", "written by hand");
    }

    #[test]
    fn a_row_has_its_line_and_the_cells_that_are_not_empty() {
        let table = b"\xef\xbb\xbfb,a\n\"x\ny\",\n,'=1\n";
        let rows = read(table, &["a", "b"], 2).unwrap();
        let cells =
            |row: &TableRow| ["a", "b"].map(|column| row.cells.text(column).map(str::to_owned));
        assert_eq!((rows[0].line, cells(&rows[0])), (2, [None, Some("x\ny".to_owned())]));
        assert_eq!((rows[1].line, cells(&rows[1])), (4, [Some("=1".to_owned()), None]));
        assert!(read(table, &["a", "b"], 1).is_err(), "it has two rows");
        assert!(read(b"a,a\n", &["a"], 1).is_err(), "a column is repeated");
        assert!(read(b"\xff\n", &["a"], 1).is_err(), "it is no text");
    }
}

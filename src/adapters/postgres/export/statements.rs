//! Writes an export as a file of SQL statements. `psql -f` runs it, twice without harm: each
//! statement inserts rows, and updates existing rows that differ.
//!
//! A value is written as a literal of its text, which the server reads as a value of the column's
//! type. Control characters are escaped, so that each row is a line: a tool that transfers the file
//! may change newlines.

use std::fmt::Write as _;

use crate::adapters::postgres::rows::copy_frames::BadFrame;
use crate::adapters::postgres::sql;
use crate::engine::model::sequence::SequenceStep;
use crate::engine::ports::export::{Part, Pass};

/// The most rows of one statement. With so many, the cost of the statement itself is small.
const MOST_ROWS: usize = 1_000;

/// The number of bytes after which a statement ends. The restore holds a statement and its parsed
/// form in memory.
const MOST_BYTES: usize = 1 << 20;

/// Builds the head of a file. All settings are for its transaction alone. The search path stays the
/// role's own: all names in the file have a schema, and the tables' triggers may use names without
/// one.
pub fn head(encoding: &str, notes: &[String]) -> String {
    let mut text = String::from(
        "-- Written by syncline export. It may be restored twice:\n\
         -- psql -v ON_ERROR_STOP=1 -f FILE DATABASE\n",
    );
    for note in notes {
        let _ = writeln!(text, "-- Note: {}", on_one_line(note));
    }
    let _ = write!(
        text,
        "begin;\n\
         set local standard_conforming_strings = on;\n\
         set local client_encoding = '{encoding}';\n\
         set local datestyle = 'ISO, YMD';\n\
         set local intervalstyle = 'postgres';\n\
         set local timezone = 'UTC';\n\
         set local array_nulls = on;\n\
         set local lc_monetary = 'C';\n\
         set local xmloption = 'content';\n\
         set local statement_timeout = 0;\n\
         set local idle_in_transaction_session_timeout = 0;\n\
         set constraints all deferred;\n"
    );
    text
}

/// Builds the tail of a file. If the commit fails, `setval` is not undone, which only skips values.
pub fn tail(steps: &[SequenceStep]) -> String {
    let rows: Vec<String> = steps
        .iter()
        .map(|SequenceStep { sequence, from: _, to, descends }| {
            let name = sql::literal(&sql::table(sequence));
            format!("    (to_regclass({name}), {to}::int8, {descends})")
        })
        .collect();
    if rows.is_empty() {
        return String::from("\ncommit;\n");
    }
    format!(
        "\n-- Sequences go on behind these values.\n\
         select count(setval(s.sequence, s.behind, true)) as \"sequences advanced\" from (values\n{rows}\n\
         ) as s (sequence, behind, descends)\n\
         where case when has_sequence_privilege(s.sequence, 'update') and \
         has_sequence_privilege(s.sequence, 'select, usage')\n    \
         then coalesce(case when s.descends then pg_sequence_last_value(s.sequence) > s.behind\n        \
         else pg_sequence_last_value(s.sequence) < s.behind end, true) end;\n\ncommit;\n",
        rows = rows.join(",\n"),
    )
}

/// Replaces control characters by spaces. A name may hold a newline, after which the rest of a
/// comment would be a statement.
fn on_one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Writes the statements of one part, row by row.
pub struct Statements<'a> {
    part: &'a Part,
    rows: usize,
    bytes: usize,
    has_title: bool,
}

impl<'a> Statements<'a> {
    /// Begins the statements of a part.
    pub fn new(part: &'a Part) -> Self {
        Self { part, rows: 0, bytes: 0, has_title: false }
    }

    /// Adds a row, which is given in COPY's text form.
    pub fn row(&mut self, row: &[u8], out: &mut Vec<u8>) -> Result<(), BadFrame> {
        if self.rows == MOST_ROWS || self.bytes >= MOST_BYTES {
            self.close(out);
        }
        let before = out.len();
        if self.rows == 0 {
            self.open(out);
        } else {
            out.extend_from_slice(b",\n");
        }
        let line = row.strip_suffix(b"\n").ok_or(BadFrame::Broken("a line without an end"))?;
        let values = line.split(|&byte| byte == b'\t');
        out.push(b'(');
        let mut written = 0;
        for (value, column) in values.zip(&self.part.columns) {
            if written > 0 {
                out.extend_from_slice(b", ");
            }
            match self.part.pass {
                Pass::First if column.omitted_first => out.extend_from_slice(b"null"),
                Pass::First | Pass::Whole => literal(value, out),
            }
            written += 1;
        }
        if written < self.part.columns.len() {
            return Err(BadFrame::Broken("a missing field"));
        }
        out.push(b')');
        self.rows += 1;
        self.bytes += out.len() - before;
        Ok(())
    }

    /// Ends the last statement.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if self.rows > 0 {
            self.close(out);
        }
    }

    fn open(&mut self, out: &mut Vec<u8>) {
        let Part { table, columns, pass, .. } = self.part;
        let mut text = String::new();
        if !self.has_title {
            let omission = match pass {
                Pass::Whole => "",
                Pass::First => ", without what points to rows that come later",
            };
            let _ = writeln!(text, "\n-- {}{omission}", on_one_line(&table.to_string()));
            self.has_title = true;
        }
        // An identity that is generated always takes a value only with this clause.
        let overriding = columns.iter().any(|column| column.serial || column.identity_always);
        let _ = writeln!(
            text,
            "insert into {} as t ({}){} values",
            sql::table(table),
            sql::idents(columns.iter().map(|column| column.name.as_str())),
            if overriding { " overriding system value" } else { "" },
        );
        out.extend_from_slice(text.as_bytes());
    }

    /// Ends a statement with the clause for rows that exist already. A row that is equal in every
    /// byte is not updated, so that no trigger fires for it.
    fn close(&mut self, out: &mut Vec<u8>) {
        let Part { columns, key, pass, .. } = self.part;
        let others: Vec<&str> = columns
            .iter()
            .filter(|column| !key.contains(&column.name) && !column.identity_always)
            .map(|column| column.name.as_str())
            .collect();
        let key = sql::idents(key.iter().map(String::as_str));
        let text = match pass {
            Pass::Whole if !others.is_empty() => {
                let set: Vec<String> = others
                    .iter()
                    .map(|name| format!("{name} = excluded.{name}", name = sql::ident(name)))
                    .collect();
                format!(
                    "\non conflict ({key}) do update set {set}\nwhere row({stored})::record \
                     operator(pg_catalog.*<>) row({given})::record;\n",
                    set = set.join(", "),
                    stored = sql::prefixed("t.", others.iter().copied()),
                    given = sql::prefixed("excluded.", others.iter().copied()),
                )
            }
            Pass::Whole | Pass::First => format!("\non conflict ({key}) do nothing;\n"),
        };
        out.extend_from_slice(text.as_bytes());
        (self.rows, self.bytes) = (0, 0);
    }
}

/// Writes a value of COPY's text form as a literal. COPY escapes backslashes and these control
/// characters, and no others (PostgreSQL documentation, COPY, "Text Format").
fn literal(value: &[u8], out: &mut Vec<u8>) {
    if value == b"\\N" {
        out.extend_from_slice(b"null");
        return;
    }
    let mut letters = value.iter();
    let mut has_controls = false;
    while let Some(&byte) = letters.next() {
        has_controls |= byte == b'\\' && letters.next() != Some(&b'\\');
    }
    out.extend_from_slice(if has_controls { b"E'" } else { b"'" });
    let mut letters = value.iter();
    while let Some(&byte) = letters.next() {
        match (byte, has_controls) {
            (b'\'', _) => out.extend_from_slice(b"''"),
            (b'\\', false) => out.extend(letters.next()),
            // A literal has the same escapes, except for this one.
            (b'\\', true) => match letters.next() {
                Some(b'v') => out.extend_from_slice(b"\\x0B"),
                other => {
                    out.push(b'\\');
                    out.extend(other);
                }
            },
            (byte, _) => out.push(byte),
        }
    }
    out.push(b'\'');
}

/// Writes a row of JSON, which is given in COPY's text form, as one line. JSON has control
/// characters only between its tokens, as in a `json` document of several lines. They become
/// spaces.
pub fn json_line(message: &[u8], out: &mut Vec<u8>) {
    let mut letters = message.strip_suffix(b"\n").unwrap_or(message).iter();
    while let Some(&byte) = letters.next() {
        out.push(match byte {
            b'\\' if letters.next() != Some(&b'\\') => b' ',
            byte => byte,
        });
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal_of(value: &str) -> String {
        let mut out = Vec::new();
        literal(value.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_is_escaped_only_where_it_has_control_characters() {
        for (copied, written) in [
            ("", "''"),
            ("\\N", "null"),
            ("\\\\N", "'\\N'"),
            ("it's", "'it''s'"),
            ("\\\\x00", "'\\x00'"),
            ("a\\nb\\\\n'", "E'a\\nb\\\\n'''"),
            ("\\vA", "E'\\x0BA'"),
            ("\\\\v", "'\\v'"),
        ] {
            assert_eq!(literal_of(copied), written, "{copied}");
        }
    }

    #[test]
    fn a_document_of_several_lines_is_one_line() {
        let mut out = Vec::new();
        json_line(b"{\"a\":{\\n \"b\": \"\\\\n\"}}\n", &mut out);
        assert_eq!(out, b"{\"a\":{  \"b\": \"\\n\"}}\n");
    }

    #[test]
    fn a_comment_ends_where_its_line_does() {
        let head = head("UTF8", &["a\nb".to_owned(), "c\u{2028}d\re".to_owned()]);
        assert!(head.contains("-- Note: a b\n") && head.contains("d e\n"), "{head}");
    }
}

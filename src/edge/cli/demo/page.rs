//! The layout of the demo's text on stdout, which fits a terminal's width.

use std::io::{self, Stdout, Write};
use std::time::Duration;

use crate::edge::cli::terminal::output::{self, Align};

/// Prints numbered headings, and under them paragraphs and tables.
pub struct Page {
    out: Stdout,
    headings: u32,
}

impl Default for Page {
    fn default() -> Self {
        Self { out: io::stdout(), headings: 0 }
    }
}

impl Page {
    /// Prints a heading with the next number.
    pub fn heading(&mut self, title: &str) -> io::Result<()> {
        self.headings += 1;
        let number = self.headings;
        self.text(&format!("\n{number}. {title}"))
    }

    /// Prints a paragraph of a step.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.text("")?;
        self.continue_paragraph(text)
    }

    /// Prints more lines of the paragraph.
    pub fn continue_paragraph(&mut self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| self.text(&format!("   {line}")))
    }

    /// Prints a table. Its first column stands left, and the others stand right.
    pub fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        let header = header.iter().map(|title| (*title).to_owned()).collect();
        let table = output::table(&[vec![header], rows].concat(), Align::Right);
        self.text("")?;
        table.lines().try_for_each(|line| self.text(&format!("     {line}")))
    }

    /// Prints lines as they are.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }
}

/// A duration in milliseconds or seconds, for a person.
pub fn duration_text(duration: Duration) -> String {
    match duration.as_millis() {
        0..10 => format!("{:.1} ms", duration.as_secs_f64() * 1e3),
        millis @ 10..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

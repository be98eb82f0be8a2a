//! The layout of the demo's text: plain text of a terminal's width, on stdout.

use std::io::{self, Stdout, Write};
use std::time::Duration;

use crate::edge::cli::terminal::output::{self, Align};

/// Writes numbered headings, and under them paragraphs and tables.
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
    /// A heading with the next number.
    pub fn heading(&mut self, title: &str) -> io::Result<()> {
        self.headings += 1;
        let number = self.headings;
        self.text(&format!("\n{number}. {title}"))
    }

    /// A paragraph of a step.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.text("")?;
        self.go_on(text)
    }

    /// More of the paragraph.
    pub fn go_on(&mut self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| self.text(&format!("   {line}")))
    }

    /// The first column is text, the others are numbers and what is said of them.
    pub fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        let header = header.iter().map(|title| (*title).to_owned()).collect();
        let table = output::table(&[vec![header], rows].concat(), Align::Right);
        self.text("")?;
        table.lines().try_for_each(|line| self.text(&format!("     {line}")))
    }

    /// Lines as they are.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }
}

/// A time as a person reads it.
pub fn spent(time: Duration) -> String {
    match time.as_millis() {
        0..10 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        millis @ 10..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

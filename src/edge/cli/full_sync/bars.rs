//! The progress of a session: a bar for each phase at a terminal, a line for each elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::edge::text::{counted, megabytes, span};
use crate::engine::model::session::{Phase, Progress, Session};

/// The bar of the phase that is at work.
pub struct Bars {
    is_shown: bool,
    phase: Option<(Phase, ProgressBar)>,
}

impl Bars {
    /// The time between two looks at a session.
    pub const PAUSE: Duration = Duration::from_millis(250);

    /// Draws on stderr; nothing where a program reads the outcome.
    pub fn new(json: bool) -> Self {
        Self { is_shown: !json, phase: None }
    }

    /// Shows how far a session is.
    pub fn show(&mut self, session: &Session) {
        if !self.is_shown || session.state.is_over() && self.phase.is_none() {
            return;
        }
        if self.phase.as_ref().is_none_or(|(phase, _)| *phase != session.phase) {
            self.end();
            self.phase = Some((session.phase, bar(session.phase)));
        }
        let Some((phase, bar)) = &self.phase else { return };
        let (done, total) = share(*phase, &session.progress);
        bar.set_length(total.max(done));
        bar.set_position(done);
        bar.set_message(text(*phase, &session.progress));
    }

    /// Ends the last bar. A phase may be over before anybody looked at it.
    pub fn end(&mut self) {
        let Some((phase, bar)) = self.phase.take() else { return };
        let message = format!("{:.1} s", bar.elapsed().as_secs_f64());
        if !std::io::stderr().is_terminal() {
            eprintln!("{}: {message}", phase.name());
        }
        bar.finish_with_message(message);
    }
}

fn bar(phase: Phase) -> ProgressBar {
    let template = "{prefix:9} {bar:30} {msg}";
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    ProgressBar::new(0).with_style(style).with_prefix(phase.name())
}

/// The share that is done: of rows while the bytes of the copy are not known.
fn share(phase: Phase, progress: &Progress) -> (u64, u64) {
    match phase {
        Phase::Backup => (progress.rows, progress.rows_total),
        // Record by record nobody knows the bytes.
        Phase::Transfer if progress.bytes_total == 0 => (progress.rows, progress.rows_total),
        Phase::Transfer | Phase::Restore | Phase::Verify => (progress.bytes, progress.bytes_total),
    }
}

fn text(phase: Phase, progress: &Progress) -> String {
    let Progress { bytes, bytes_total, rows, speed, .. } = *progress;
    let mut text = match phase {
        Phase::Backup => format!("{}, {}", counted(rows, "row"), megabytes(bytes)),
        Phase::Transfer if bytes_total == 0 => {
            format!("{} saved, {}", counted(rows, "row"), megabytes(bytes))
        }
        Phase::Transfer => format!("{} of {}", megabytes(bytes), megabytes(bytes_total)),
        Phase::Restore | Phase::Verify => counted(rows, "row"),
    };
    if speed > 0 {
        text.push_str(&format!(", {}/s", megabytes(speed)));
        if bytes_total > bytes {
            let left = Duration::from_secs((bytes_total - bytes).div_ceil(speed));
            text.push_str(&format!(", {} left", span(left)));
        }
    }
    text
}

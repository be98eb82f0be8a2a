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
        bar.set_message(text(*phase, &session.progress, bar.elapsed()));
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

/// The progress of a phase: the amount that is done, its speed and the time that is left of it.
pub fn text(phase: Phase, progress: &Progress, elapsed: Duration) -> String {
    let Progress { bytes, rows, speed, bytes_total, rows_total: _ } = *progress;
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
    }
    if let Some(left) = time_left(progress, elapsed) {
        text.push_str(&format!(", {} left", span(left)));
    }
    text
}

/// The time until the end of the phase. Where its bytes are known at its end alone, its rows tell,
/// by their speed since the bar began.
fn time_left(progress: &Progress, elapsed: Duration) -> Option<Duration> {
    let Progress { bytes, bytes_total, rows, rows_total, speed } = *progress;
    let seconds = if bytes_total > 0 {
        bytes_total.checked_sub(bytes)?.div_ceil(speed.max(1))
    } else {
        let share = rows_total.checked_sub(rows)? as f64 / rows as f64;
        (elapsed.as_secs_f64() * share).ceil() as u64
    };
    let is_known = seconds > 0 && if bytes_total > 0 { speed > 0 } else { rows > 0 };
    is_known.then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_shows_its_speed_and_the_time_that_is_left() {
        let progress = Progress {
            bytes: 30_000_000,
            bytes_total: 90_000_000,
            rows: 1_000,
            rows_total: 3_000,
            speed: 2_000_000,
        };
        let shown = |phase| text(phase, &progress, Duration::from_secs(60));
        let exporting = Progress { bytes_total: 0, ..progress };
        assert_eq!(shown(Phase::Transfer), "30.0 MB of 90.0 MB, 2.0 MB/s, 30 s left");
        assert_eq!(shown(Phase::Restore), "1000 rows, 2.0 MB/s, 30 s left");
        let backup = text(Phase::Backup, &exporting, Duration::from_secs(60));
        assert_eq!(backup, "1000 rows, 30.0 MB, 2.0 MB/s, 2 min left");
    }

    #[test]
    fn nothing_is_guessed_while_nothing_is_known() {
        let none = Progress::default();
        assert_eq!(text(Phase::Restore, &none, Duration::ZERO), "0 rows");
        let done = Progress { bytes: 9, bytes_total: 9, rows: 3, rows_total: 2, speed: 1 };
        assert_eq!(time_left(&done, Duration::from_secs(9)), None);
        let more_than_expected = Progress { bytes_total: 0, ..done };
        assert_eq!(time_left(&more_than_expected, Duration::from_secs(9)), None);
    }
}

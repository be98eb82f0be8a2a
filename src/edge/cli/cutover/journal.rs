//! A cutover as it is told: a line a step as soon as it is done, or all of them in one JSON object.

use std::io::{IsTerminal, Write, stdin, stdout};

use serde::Serialize;
use serde_json::{Value, json};

use super::switch::Switch;
use crate::edge::cli::terminal::mark::{Mark, marked_line};
use crate::edge::cli::terminal::output::{self, Exit};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::run::RunId;

/// Why a cutover went no further, and how the command ends.
#[derive(Debug)]
pub struct Stopped {
    /// The fault that is in the way.
    pub fault: Fault,
    /// The exit that says so.
    pub exit: Exit,
}

impl Stopped {
    /// Somebody has to do something first.
    pub fn by(
        code: FaultCode,
        message: impl Into<String>,
        hint: impl Into<String>,
        exit: Exit,
    ) -> Self {
        Self { fault: Fault::new(Step::Compare, code, message, hint), exit }
    }
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        let exit = Exit::of_fault(&fault);
        Self { fault, exit }
    }
}

/// The outcome of a step.
#[derive(Debug, Serialize)]
struct Line {
    step: &'static str,
    mark: Mark,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

/// The lines that were printed until now, and who reads them.
#[derive(Debug)]
pub struct Journal {
    lines: Vec<Line>,
    json: bool,
    asks: bool,
}

/// Wide enough for every step.
const WIDTH: usize = "schedules".len();

impl Journal {
    /// Nothing yet. Questions are asked unless all of them are answered already.
    pub fn begun(json: bool, asks: bool) -> Self {
        Self { lines: Vec::new(), json, asks }
    }

    /// It is done, or as it ought to be.
    pub fn ok(&mut self, step: &'static str, found: impl Into<String>) {
        self.add(Line { step, mark: Mark::Ok, found: found.into(), remedy: String::new() });
    }

    /// There was nothing to do, for a reason that somebody may want to look at.
    pub fn skip(
        &mut self,
        step: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(Line { step, mark: Mark::Skip, found: found.into(), remedy: remedy.into() });
    }

    /// It goes on, and somebody should look at it.
    pub fn warn(
        &mut self,
        step: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(Line { step, mark: Mark::Warn, found: found.into(), remedy: remedy.into() });
    }

    /// It went no further.
    pub fn fail(&mut self, step: &'static str, fault: &Fault) {
        let (found, remedy) = (fault.chain(), fault.hint.clone());
        self.add(Line { step, mark: Mark::Fail, found, remedy });
    }

    fn add(&mut self, line: Line) {
        if !self.json {
            // A slow step follows: nobody should wait for it to see this one.
            let Line { step, mark, found, remedy } = &line;
            say(&marked_line(mark.text(false), step, WIDTH, found, remedy));
        }
        self.lines.push(line);
    }

    /// Asks whether to do a step.
    pub fn confirm(&self, question: &str) -> Result<(), Stopped> {
        if !self.asks {
            return Ok(());
        }
        // A question that cannot be shown is answered by nobody.
        if output::ask(question).unwrap_or(false) {
            return Ok(());
        }
        Err(Stopped::by(
            FaultCode::Declined,
            "Stopped here: the answer was no",
            "run `syncline cutover` again to go on with this step",
            Exit::Failed,
        ))
    }

    /// Tells what all of it came to.
    pub fn end(
        &self,
        run: &RunId,
        dry_run: bool,
        stopped: Option<&Stopped>,
        switch: Option<&Switch>,
    ) {
        if self.json {
            let error = stopped.map(|stopped| {
                let Fault { code, hint, .. } = &stopped.fault;
                json!({ "code": code.name(), "message": stopped.fault.chain(), "hint": hint })
            });
            return output::print_json(&json!({
                "success": stopped.is_none(),
                "dry_run": dry_run,
                "run_id": run.as_str(),
                "steps": self.lines,
                "switch": switch.map_or(Value::Null, Switch::json),
                "error": error,
            }));
        }
        match (switch, dry_run) {
            (Some(switch), false) => say(&format!("\n{}", switch.text())),
            (Some(switch), true) => {
                say(&format!("\nNothing was done. At the end:\n{}", switch.text()));
            }
            (None, _) => {}
        }
    }
}

/// Prints at once. A reader that went away must not end a cutover in the middle, with its schedules
/// paused.
fn say(text: &str) {
    let mut out = stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Without anybody who could answer, every question would be a no.
pub fn refuse_unheard(asks: bool) -> Result<(), Fault> {
    if !asks || stdin().is_terminal() {
        return Ok(());
    }
    Err(Fault::of_call(
        FaultCode::Unconfirmed,
        "A cutover asks before each step, and nobody is there to answer",
        "run it at a terminal, look at it with --dry-run, or say --yes to all of it",
    ))
}

//! The output of a cutover: a line for each step as soon as it is done, or all of them in one JSON
//! object.

use std::io::{IsTerminal, stdin};

use serde_json::{Value, json};

use super::switch::Switch;
use crate::edge::cli::terminal::checks::{Check, Checks, print};
use crate::edge::cli::terminal::output::{self, Exit};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::run::RunId;

/// The reason why a cutover stopped, and the exit of the command.
#[derive(Debug)]
pub struct Stopped {
    /// The reason.
    pub fault: Fault,
    /// The exit.
    pub exit: Exit,
}

impl Stopped {
    /// A stop until a person has done what the hint says.
    pub fn new(
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

/// The steps until now, and who reads them.
#[derive(Debug)]
pub struct Journal {
    steps: Checks,
    json: bool,
    asks: bool,
}

impl Journal {
    /// An empty journal. It asks questions unless all of them are answered already.
    pub fn new(json: bool, asks: bool) -> Self {
        Self { steps: Checks::new(json, false, "schedules".len()), json, asks }
    }

    /// Adds a step that is done, or whose result is as it ought to be.
    pub fn ok(&mut self, step: &'static str, found: impl Into<String>) {
        self.steps.add(Check::ok(step, found));
    }

    /// Adds a step that had nothing to do, for a reason that a person may want to look at.
    pub fn skip(&mut self, step: &'static str, found: impl Into<String>, remedy: &str) {
        self.steps.add(Check::skip(step, found, remedy));
    }

    /// Adds a step after which the cutover goes on, with a result that a person should look at.
    pub fn warn(
        &mut self,
        step: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.steps.add(Check::warn(step, found, remedy));
    }

    /// Adds the step at which the cutover ended.
    pub fn fail(&mut self, step: &'static str, fault: &Fault) {
        self.steps.add(Check::fault(step, fault));
    }

    /// Asks whether to do a step, unless the answers were given as arguments.
    pub fn confirm(&self, question: &str) -> Result<(), Stopped> {
        if !self.asks {
            return Ok(());
        }
        // If the question cannot be printed, the answer is no.
        if output::ask(question).unwrap_or(false) {
            return Ok(());
        }
        Err(Stopped::new(
            FaultCode::Declined,
            "Stopped here: the answer was no",
            "run `syncline cutover` again to go on with this step",
            Exit::Failed,
        ))
    }

    /// Prints how the cutover ended.
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
                "steps": self.steps.made.iter().map(step_json).collect::<Vec<_>>(),
                "switch": switch.map_or(Value::Null, Switch::json),
                "error": error,
            }));
        }
        match (switch, dry_run) {
            (Some(switch), false) => print(&format!("\n{}", switch.text())),
            (Some(switch), true) => {
                print(&format!("\nNothing was done. At the end:\n{}", switch.text()));
            }
            (None, _) => {}
        }
    }
}

fn step_json(line: &Check) -> Value {
    let Check { name, pipeline: _, mark, found, remedy } = line;
    let mut step = json!({ "step": name, "mark": mark, "found": found });
    if !remedy.is_empty() {
        step["remedy"] = json!(remedy);
    }
    step
}

/// Refuses to ask questions without a terminal, where every answer would be no.
pub fn require_terminal(asks: bool) -> Result<(), Fault> {
    if !asks || stdin().is_terminal() {
        return Ok(());
    }
    Err(Fault::of_call(
        FaultCode::Unconfirmed,
        "A cutover asks before each step, and nobody is there to answer",
        "run it at a terminal, look at it with --dry-run, or say --yes to all of it",
    ))
}

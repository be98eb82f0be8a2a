//! A check and its output: a line each, or all of them in one JSON object.

use std::io::{IsTerminal, Write, stdout};

use serde::Serialize;

use crate::edge::cli::terminal::mark::{Mark, marked_line};
use crate::edge::cli::terminal::output::print_json;
use crate::engine::model::fault::Fault;

/// A check that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The thing that was looked at.
    pub name: &'static str,
    /// Whose it is, where that is one pipeline's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// Its outcome.
    pub mark: Mark,
    /// The finding.
    pub found: String,
    /// The act that mends it; empty where nothing needs doing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Check {
    fn new(
        name: &'static str,
        mark: Mark,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { name, pipeline: None, mark, found: found.into(), remedy: remedy.into() }
    }

    /// It is as it ought to be.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Mark::Ok, found, "")
    }

    /// It works, and somebody should look at it.
    pub fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(name, Mark::Warn, found, remedy)
    }

    /// It does not work.
    pub fn fail(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(name, Mark::Fail, found, remedy)
    }

    /// It does not work, for this reason.
    pub fn fault(name: &'static str, fault: &Fault) -> Self {
        Self::fail(name, fault.chain(), &fault.hint)
    }

    /// It was not made, for want of another.
    pub fn skipped(name: &'static str, needs: &str) -> Self {
        Self::new(name, Mark::Skip, format!("skipped: needs {needs}"), "")
    }

    /// Names the pipeline that the check is of.
    #[must_use]
    pub fn of(mut self, pipeline: &str) -> Self {
        self.pipeline = Some(pipeline.to_owned());
        self
    }
}

/// A command for later, and what it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Later {
    /// The effect.
    pub does: String,
    /// The text to type.
    pub command: String,
}

/// Wide enough for every name.
const NAME_WIDTH: usize = "signing keys".len();

/// Tells each check as soon as it was made.
#[derive(Debug)]
pub struct Checks {
    made: Vec<Check>,
    json: bool,
    signs: bool,
    /// The longest name of several pipelines; with one alone nobody needs to be told whose it is.
    pipelines: Option<usize>,
}

impl Checks {
    /// None yet.
    pub fn begun(json: bool) -> Self {
        Self { made: Vec::new(), json, signs: stdout().is_terminal(), pipelines: None }
    }

    /// Says which pipelines there are.
    pub fn among<'a>(&mut self, pipelines: impl Iterator<Item = &'a str>) {
        let widths: Vec<usize> = pipelines.map(|name| name.chars().count()).collect();
        self.pipelines = widths.iter().max().copied().filter(|_| widths.len() > 1);
    }

    /// Adds a check, and says whether what needs it can go on.
    pub fn add(&mut self, check: Check) -> bool {
        if !self.json {
            print!("{}", self.lines(&check));
            // A slow check follows: nobody should wait for it to see this one.
            let _ = stdout().flush();
        }
        let works = matches!(check.mark, Mark::Ok | Mark::Warn);
        self.made.push(check);
        works
    }

    fn lines(&self, check: &Check) -> String {
        let Check { name, pipeline, mark, found, remedy } = check;
        let mark = mark.text(self.signs);
        let whose = match self.pipelines {
            Some(width) => format!("{:width$}  ", pipeline.as_deref().unwrap_or_default()),
            None => String::new(),
        };
        marked_line(mark, name, NAME_WIDTH, &format!("{whose}{found}"), remedy)
    }

    /// Counts the checks that failed.
    pub fn failed(&self) -> usize {
        self.made.iter().filter(|check| check.mark == Mark::Fail).count()
    }

    /// Tells what all of it came to, and what can be done from now on.
    pub fn end(self, later: &[Later]) {
        let failed = self.failed();
        let warned = self.made.iter().filter(|check| check.mark == Mark::Warn).count();
        let again = "do what is said below each, and run `syncline setup` again";
        let message = match (failed, warned) {
            (0, 0) => "Everything is set up".to_owned(),
            (0, 1) => "Everything is set up; 1 check deserves a look".to_owned(),
            (0, warned) => format!("Everything is set up; {warned} checks deserve a look"),
            (1, _) => format!("1 check failed: {again}"),
            (failed, _) => format!("{failed} checks failed: {again}"),
        };
        if self.json {
            let (success, checks, commands) = (failed == 0, &self.made, later);
            return print_json(&serde_json::json!({
                "success": success, "message": message, "checks": checks, "commands": commands,
            }));
        }
        println!("\n{message}.");
        for (index, Later { does, command }) in later.iter().enumerate() {
            let before = if index == 0 { "\n" } else { "" };
            println!("{before}{does}:\n  {command}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(signs: bool, pipelines: &[&str]) -> Checks {
        let mut checks = Checks { made: Vec::new(), json: true, signs, pipelines: None };
        checks.among(pipelines.iter().copied());
        checks
    }

    #[test]
    fn a_line_has_its_mark_its_name_what_was_found_and_the_remedy_below() {
        let failed = Check::fail("QStash", "it is down", "wait").of("orders");
        let lines = checks(false, &["orders"]).lines(&failed);
        assert_eq!(lines, "FAIL QStash        it is down\n      wait\n");
        let lines = checks(true, &["orders"]).lines(&Check::ok("source", "reached"));
        assert_eq!(lines, "✓ source        reached\n");
    }

    #[test]
    fn several_pipelines_are_told_apart() {
        let lines = |check: Check| checks(false, &["orders", "users"]).lines(&check);
        assert_eq!(
            lines(Check::ok("plan", "in order").of("users")),
            "ok   plan          users   in order\n"
        );
        assert_eq!(lines(Check::ok("QStash", "reached")), "ok   QStash                reached\n");
    }

    #[test]
    fn what_failed_or_was_skipped_lets_nothing_go_on() {
        let mut checks = checks(false, &[]);
        assert!(checks.add(Check::ok("a", "")) && checks.add(Check::warn("b", "", "")));
        assert!(!checks.add(Check::fail("c", "", "")) && !checks.add(Check::skipped("d", "c")));
        assert_eq!(checks.failed(), 1);
    }
}

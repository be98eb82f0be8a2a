//! The checks of a set-up and the steps of a cutover, a line each: a mark, the name, the result,
//! and below it the remedy. A line is printed as soon as its check is made.

use std::io::{Write, stdout};

use serde::Serialize;

use crate::engine::model::fault::Fault;

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// The check succeeded.
    Ok,
    /// The check was not made: it depends on one that failed, or there was nothing to do.
    Skip,
    /// The check succeeded, but a person should look at the result.
    Warn,
    /// The check failed.
    Fail,
}

impl Mark {
    /// The mark as a sign, for a terminal, or as a word that can be searched for.
    fn text(self, signs: bool) -> &'static str {
        match (self, signs) {
            (Self::Ok, true) => "✓",
            (Self::Skip, true) => "-",
            (Self::Warn, true) => "!",
            (Self::Fail, true) => "✗",
            (Self::Ok, false) => "ok  ",
            (Self::Skip, false) => "skip",
            (Self::Warn, false) => "warn",
            (Self::Fail, false) => "FAIL",
        }
    }
}

/// The result of a check or a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The name of the check or the step.
    pub name: &'static str,
    /// The pipeline that the check is about, if it is about one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The outcome.
    pub mark: Mark,
    /// The result in words.
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

    /// A check that succeeded.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Mark::Ok, found, "")
    }

    /// A check that succeeded, with a result that a person should look at.
    pub fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(name, Mark::Warn, found, remedy)
    }

    /// A check that failed.
    pub fn fail(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(name, Mark::Fail, found, remedy)
    }

    /// A check that failed for the reason of this fault.
    pub fn fault(name: &'static str, fault: &Fault) -> Self {
        Self::fail(name, fault.chain(), &fault.hint)
    }

    /// A check that was not made, or a step that had nothing to do.
    pub fn skip(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(name, Mark::Skip, found, remedy)
    }

    /// A check that was not made because it needs another one, which failed.
    pub fn skipped(name: &'static str, needs: &str) -> Self {
        Self::skip(name, format!("skipped: needs {needs}"), "")
    }

    /// Names the pipeline that the check is about.
    #[must_use]
    pub fn of(mut self, pipeline: &str) -> Self {
        self.pipeline = Some(pipeline.to_owned());
        self
    }
}

/// The checks that were made so far.
#[derive(Debug)]
pub struct Checks {
    /// The checks in their order.
    pub made: Vec<Check>,
    json: bool,
    signs: bool,
    name_width: usize,
    /// The length of the longest pipeline's name; none if there is one pipeline, whose name no line
    /// needs.
    pipelines: Option<usize>,
}

impl Checks {
    /// An empty list. With `json` nothing is printed line by line; with `signs` the marks are
    /// signs. All names fit into `name_width`.
    pub fn new(json: bool, signs: bool, name_width: usize) -> Self {
        Self { made: Vec::new(), json, signs, name_width, pipelines: None }
    }

    /// Takes the names of the pipelines. If there are several, each line names its own.
    pub fn with_pipelines<'a>(&mut self, pipelines: impl Iterator<Item = &'a str>) {
        let widths: Vec<usize> = pipelines.map(|name| name.chars().count()).collect();
        self.pipelines = widths.iter().max().copied().filter(|_| widths.len() > 1);
    }

    /// Adds a check, and returns whether another one that depends on it can be made.
    pub fn add(&mut self, check: Check) -> bool {
        if !self.json {
            // A slow check follows: nobody should wait for it to see this one.
            print(&self.text(&check));
        }
        let works = matches!(check.mark, Mark::Ok | Mark::Warn);
        self.made.push(check);
        works
    }

    fn text(&self, check: &Check) -> String {
        let Check { name, pipeline, mark, found, remedy } = check;
        let pipeline = match self.pipelines {
            Some(width) => format!("{:width$}  ", pipeline.as_deref().unwrap_or_default()),
            None => String::new(),
        };
        let (mark, width) = (mark.text(self.signs), self.name_width);
        let mut text = format!("{mark} {name:width$}  {pipeline}{found}\n");
        if !remedy.is_empty() {
            text.push_str(&format!("      {remedy}\n"));
        }
        text
    }

    /// Counts the checks with this mark.
    pub fn count(&self, mark: Mark) -> usize {
        self.made.iter().filter(|check| check.mark == mark).count()
    }
}

/// Prints at once. If the reader of stdout is gone, the command goes on: a cutover must not end in
/// the middle with its schedules paused.
pub fn print(text: &str) {
    let mut out = stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(signs: bool, pipelines: &[&str]) -> Checks {
        let mut checks = Checks::new(true, signs, "signing keys".len());
        checks.with_pipelines(pipelines.iter().copied());
        checks
    }

    #[test]
    fn a_line_has_its_mark_its_name_what_was_found_and_the_remedy_below() {
        let failed = Check::fail("QStash", "it is down", "wait").of("orders");
        let text = checks(false, &["orders"]).text(&failed);
        assert_eq!(text, "FAIL QStash        it is down\n      wait\n");
        let text = checks(true, &["orders"]).text(&Check::ok("source", "reached"));
        assert_eq!(text, "✓ source        reached\n");
    }

    #[test]
    fn several_pipelines_are_told_apart() {
        let text = |check: Check| checks(false, &["orders", "users"]).text(&check);
        assert_eq!(
            text(Check::ok("plan", "in order").of("users")),
            "ok   plan          users   in order\n"
        );
        let text = text(Check::ok("QStash", "reached"));
        assert_eq!(text, "ok   QStash                reached\n");
    }

    #[test]
    fn what_failed_or_was_skipped_lets_nothing_go_on() {
        let mut all = checks(false, &[]);
        assert!(all.add(Check::ok("a", "")) && all.add(Check::warn("b", "", "")));
        assert!(!all.add(Check::fail("c", "", "")));
        assert!(!all.add(Check::skipped("d", "c")));
        assert_eq!(all.count(Mark::Fail), 1);
    }
}

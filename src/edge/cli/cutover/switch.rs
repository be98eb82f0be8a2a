//! The changes by hand at the end, and the way back: names of variables and of
//! databases, and never what a variable holds.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::jobs::cutover::ports::{CutoverPorts, End};
use crate::jobs::cutover::{Assignment, assignments};

/// The variables before and after.
#[derive(Debug)]
pub struct Switch {
    source: End,
    target: End,
    application: Vec<Assignment>,
    paused: Vec<String>,
    pipeline: String,
}

impl Switch {
    /// Returns the switch of a pipeline's databases, with the schedules that stay paused. `pipeline`
    /// is the option that chooses it in the commands that are printed.
    pub fn of(ports: &CutoverPorts, paused: &[String], pipeline: String) -> Self {
        let CutoverPorts { source, target, .. } = ports;
        Self {
            application: assignments(source, target),
            source: source.clone(),
            target: target.clone(),
            paused: paused.to_vec(),
            pipeline,
        }
    }

    /// For a person.
    pub fn text(&self) -> String {
        let Self { source, target, application, paused, pipeline } = self;
        let mut text = "Give the application its new database, and start it:\n".to_owned();
        for Assignment { name, value_of, database } in application {
            let stays = name == value_of;
            let value = match stays {
                true => "stays as it is".to_owned(),
                false => format!("the value of {value_of}"),
            };
            let place =
                database.as_ref().map(|database| format!(" ({database})")).unwrap_or_default();
            let _ = writeln!(text, "  {name} = {value}{place}");
        }
        let _ = write!(
            text,
            "To go back before anything was written to the target, start it as it was, and:\n  \
             syncline cutover --abort{pipeline}\n\
             To go back later, stop it, and cut over the other way, so that no row is lost:\n  \
             SOURCE_DATABASE_URL = the value of {} ({})\n  \
             TARGET_DATABASE_URL = the value of {} ({})\n  \
             syncline cutover{pipeline}\n",
            target.name, target.database, source.name, source.database
        );
        if !paused.is_empty() {
            text.push_str("Once nobody wants to go back, take away what is paused:\n");
            for id in paused {
                let _ = writeln!(text, "  syncline schedule delete {id}");
            }
        }
        text
    }

    /// For a script.
    pub fn json(&self) -> Value {
        let variable = |assignment: &Assignment| {
            let Assignment { name, value_of, database } = assignment;
            json!({ "name": name, "value_of": value_of, "database": database })
        };
        json!({
            "variables": self.application.iter().map(variable).collect::<Vec<_>>(),
            "source": { "name": self.source.name, "database": self.source.database },
            "target": { "name": self.target.name, "database": self.target.database },
            "paused": self.paused,
        })
    }
}

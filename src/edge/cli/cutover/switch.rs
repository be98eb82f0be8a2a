//! The changes by hand at the end, and the way back: names of variables and of
//! databases, and never what a variable holds.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::jobs::cutover::ports::{CutoverPorts, NamedDatabase};
use crate::jobs::cutover::{Assignment, assignments};

/// The variables before and after.
#[derive(Debug)]
pub struct Switch {
    source: NamedDatabase,
    target: NamedDatabase,
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
             To go back later, stop it, and cut over the other way, so that no row is lost:\n"
        );
        for (side, end, other) in [("SOURCE", target, source), ("TARGET", source, target)] {
            let NamedDatabase { name, database, is_project: _, key, authority } = end;
            let _ = writeln!(text, "  {side}_DATABASE_URL = the value of {name} ({database})");
            if let Some(key) = key {
                let _ = writeln!(text, "  {side}_SERVICE_ROLE_KEY = the value of {key}");
            }
            match (authority, &other.authority) {
                (Some(authority), _) => {
                    let _ = writeln!(text, "  {side}_SSL_CA = the value of {authority}");
                }
                (None, Some(_)) => {
                    let _ = writeln!(text, "  {side}_SSL_CA is left out");
                }
                (None, None) => {}
            }
        }
        let _ = writeln!(text, "  syncline cutover{pipeline}");
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
        let end = |end: &NamedDatabase| {
            let NamedDatabase { name, database, is_project: _, key, authority } = end;
            json!({ "name": name, "database": database, "key": key, "authority": authority })
        };
        json!({
            "variables": self.application.iter().map(variable).collect::<Vec<_>>(),
            "source": end(&self.source),
            "target": end(&self.target),
            "paused": self.paused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_names_keys_and_authorities_and_never_what_they_are() {
        let end = |side: &str, key: Option<&str>, authority: Option<&str>| NamedDatabase {
            name: format!("{side}_URL"),
            database: format!("{side}.example.org"),
            is_project: key.is_some(),
            key: key.map(str::to_owned),
            authority: authority.map(str::to_owned),
        };
        let switch = Switch {
            source: end("OLD", None, Some("SOURCE_SSL_CA")),
            target: end("NEW", Some("NEW_KEY"), None),
            application: Vec::new(),
            paused: Vec::new(),
            pipeline: String::new(),
        };
        let text = switch.text();
        let back = "so that no row is lost:
  SOURCE_DATABASE_URL = the value of NEW_URL (NEW.example.org)
  SOURCE_SERVICE_ROLE_KEY = the value of NEW_KEY
  SOURCE_SSL_CA is left out
  TARGET_DATABASE_URL = the value of OLD_URL (OLD.example.org)
  TARGET_SSL_CA = the value of SOURCE_SSL_CA
  syncline cutover
";
        assert!(text.ends_with(back), "{text}");
        assert_eq!(switch.json()["target"]["key"], "NEW_KEY");
        assert_eq!(switch.json()["source"]["authority"], "SOURCE_SSL_CA");
    }
}

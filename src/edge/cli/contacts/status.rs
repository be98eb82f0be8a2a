//! `syncline contacts status`.

use serde_json::{Value, json};

use crate::edge::cli::terminal::output::{self, Exit};
use crate::edge::text::counted;
use crate::engine::model::fault::Fault;
use crate::jobs::contacts::own_contacts::OwnContacts;
use crate::jobs::contacts::ports::ContactStanding;

/// Shows how things stand.
pub async fn status(own: &OwnContacts, json: bool) -> Result<Exit, Fault> {
    let standing = own.desk.standing().await?;
    let progress = own.status.fields().await?;
    if json {
        output::print_json(&json!({ "standing": standing, "sync_status": progress }));
        return Ok(Exit::Done);
    }
    let ContactStanding { rows, links, shadows, stale_shadows, open_conflicts } = standing;
    let line = |name: &str, value: String| println!("{name:<12}  {value}");
    line("database", format!("{} in {}", counted(rows, "row"), own.mapping.table));
    line("crosswalk", format!("{}, {}", counted(links, "link"), counted(shadows, "shadow")));
    line("conflicts", format!("{open_conflicts} open"));
    for (name, value) in &progress {
        line(name, plain(value));
    }
    if open_conflicts > 0 {
        println!("Answer them: syncline contacts conflicts list");
    }
    if shadows < links {
        println!(
            "People without a shadow cannot be merged value by value: syncline contacts backfill"
        );
    } else if stale_shadows > 0 {
        let stale = counted(stale_shadows, "shadow");
        println!("{stale} older than 30 days: the next syncline contacts backfill renews them.");
    }
    Ok(Exit::Done)
}

/// A value of the progress in one line.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "never".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let parts = fields.iter().filter(|(_, value)| !value.is_object() && !value.is_null());
            let parts = parts.map(|(name, value)| format!("{name} {}", plain(value)));
            parts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

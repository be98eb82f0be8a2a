//! `syncline contacts init`: a mapping to begin with.

use serde_json::json;

use crate::edge::cli::terminal::output::{self, Exit};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::contacts::desk::proposal::propose;
use crate::wiring::App;

/// Prints the proposal on stdout, and what to do with it on stderr.
pub async fn init(app: &App, json: bool) -> Result<Exit, Fault> {
    let sides = app.unmapped_contacts()?;
    let facts = sides.facts().await?;
    let (fields, groups) = (sides.list.fields().await?, sides.list.groups().await?);
    let Some(proposal) = propose(&facts, &fields, &groups) else {
        return Err(Fault::new(
            Step::Plan,
            FaultCode::NoTable,
            "No table has a column for e-mail addresses and a primary key of one column of type uuid",
            "give the table of your contacts such a key, as in `id uuid primary key default \
             gen_random_uuid()`, and let the role read it",
        ));
    };
    if json {
        let others: Vec<String> = proposal.others.iter().map(ToString::to_string).collect();
        output::print_json(&json!({ "proposal": proposal.text, "other_tables": others }));
        return Ok(Exit::Done);
    }
    print!("{}", proposal.text);
    if !proposal.others.is_empty() {
        let names: Vec<String> = proposal.others.iter().map(ToString::to_string).collect();
        eprintln!("Other tables with addresses: {}.", names.join(", "));
    }
    eprintln!(
        "Save this in syncline.toml, read every line, and set SYNC_CONFIG to its path.\n\
         Nothing is changed before you have seen: syncline contacts plan"
    );
    Ok(Exit::Done)
}

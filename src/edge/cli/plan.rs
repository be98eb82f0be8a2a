//! `syncline plan`: prints what a run would do, and the problems of the set-up.

use serde_json::{Map, Value, json};

use super::terminal::app::{ExtraSteps, Selection, with_app};
use super::terminal::output::{self, Exit};
use super::terminal::slices::sync_job;
use crate::edge::http::wire::SequenceStatistics;
use crate::edge::text::point;
use crate::engine::model::fault::Fault;
use crate::engine::plan::note::{Note, Weight};
use crate::jobs::PipelineWithPorts;
use crate::jobs::sync_tables::{
    DeletesIntent, Intent, SideIntent, SyncPlan, SyncTables, TableIntent,
};

#[derive(Debug, clap::Args)]
pub struct PlanArguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    extra_steps: ExtraSteps,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the plan; the exit says whether a table would be left out.
pub async fn plan(arguments: &PlanArguments) -> Exit {
    let PlanArguments { selection, extra_steps, json } = arguments;
    with_app(*json, async |app, run| {
        let (served, job) = sync_job(app, selection, *extra_steps, run)?;
        print(served, &job, *json).await
    })
    .await
}

/// Prints what a job would do.
pub async fn print(
    served: &PipelineWithPorts,
    job: &SyncTables,
    json: bool,
) -> Result<Exit, Fault> {
    let ports = &served.ports;
    let plan = job.plan(&*ports.source, &*ports.target, &*ports.ledger).await?;
    if json {
        output::print_json(&as_json(&plan));
    } else {
        print!("{plan}");
    }
    Ok(if plan.has_problems() { Exit::Failed } else { Exit::Done })
}

fn as_json(plan: &SyncPlan) -> Value {
    let SyncPlan { source, target, additions, tables, deletes, sequences, notes } = plan;
    json!({
        "success": !plan.has_problems(),
        "source": side_json(source),
        "target": side_json(target),
        "statements": additions.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "tables": tables.iter().map(table_json).collect::<Vec<_>>(),
        "deletes": deletes.iter().map(deletes_json).collect::<Vec<_>>(),
        "sequences": sequences.iter().flatten().map(SequenceStatistics::of).collect::<Vec<_>>(),
        "notes": notes.iter().map(note_json).collect::<Vec<_>>(),
    })
}

fn side_json(planned: &SideIntent) -> Value {
    let SideIntent { major, pooled } = planned;
    json!({ "major": major, "transaction_pooler": pooled })
}

fn table_json(planned: &TableIntent) -> Value {
    let TableIntent { table, cursor, key, encoding: _, estimated_rows, intent, started_from } =
        planned;
    let (action, since) = match intent {
        Intent::Nothing => ("nothing", None),
        Intent::FirstLoad => ("first_load", None),
        Intent::Reload => ("anew", None),
        Intent::Since(from) => ("since", Some(from)),
        Intent::Compare => ("compare", None),
        Intent::Resume => ("resume", None),
    };
    json!({
        "table": table.to_string(),
        "cursor": cursor,
        "key": key,
        "estimated_rows": estimated_rows,
        "action": action,
        "since": since,
        "started_from": started_from.as_ref().map(point),
    })
}

/// The planned deletes. Their keys are printed for the person at the terminal.
fn deletes_json(planned: &DeletesIntent) -> Value {
    let DeletesIntent { table, key, rows, more, keys, marks, refusal } = planned;
    let named = |values: &[String]| -> Map<String, Value> {
        let pairs = key.iter().zip(values);
        pairs.map(|(column, value)| (column.clone(), Value::from(value.as_str()))).collect()
    };
    json!({
        "table": table.to_string(),
        "action": if *marks { "mark" } else { "delete" },
        "rows": rows,
        "at_least": more,
        "keys": keys.iter().map(|key| named(key.values())).collect::<Vec<_>>(),
        "refused": refusal,
    })
}

fn note_json(note: &Note) -> Value {
    let weight = match note.weight {
        Weight::Info => "info",
        Weight::Warning => "warning",
        Weight::Problem => "problem",
    };
    json!({
        "weight": weight,
        "table": note.table.to_string(),
        "text": note.text,
        "remedy": note.remedy,
    })
}

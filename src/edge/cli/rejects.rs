//! `syncline rejects`: the rows that the target rejected, and what a person does about them.

use serde::Serialize;

use super::terminal::app::{ExtraSteps, Selection, select_pipeline, with_app};
use super::terminal::output::{self, Exit};
use super::terminal::slices::{Extent, report_end, slices, sync_job};
use crate::edge::text::timestamp;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::Reject;
use crate::engine::model::run::RunId;
use crate::engine::model::table::TableName;
use crate::jobs::PipelineWithPorts;
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct RejectsArguments {
    #[command(subcommand)]
    action: Action,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists the rejected rows, with their keys and the target's reasons
    List {
        #[command(flatten)]
        selection: Selection,
        /// The most rows to list
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Syncs the tables with rejected rows, and tries those again, as every run does
    Retry {
        #[command(flatten)]
        selection: Selection,
    },
    /// Forgets rejected rows: nothing tries them again until they change at the source
    Discard {
        #[command(flatten)]
        selection: Selection,
        /// A value of the row's key; once for each column of a composite key, in its order
        #[arg(long = "key", value_name = "VALUE", required_unless_present = "all")]
        key: Vec<String>,
        /// All rows of the table
        #[arg(long, conflicts_with = "key")]
        all: bool,
    },
}

/// The most rows that are read to find the tables with rejects, and to discard all of a table.
const ALL: u32 = 1_000_000;

/// Lists, retries or discards rejected rows.
pub async fn rejects(arguments: &RejectsArguments) -> Exit {
    let json = arguments.json;
    with_app(json, async |app, run| match &arguments.action {
        Action::List { selection, limit } => list(app, selection, *limit, json).await,
        Action::Retry { selection } => retry(app, selection, run, json).await,
        Action::Discard { selection, key, all } => {
            let key = (!all).then_some(key.as_slice());
            discard(app, selection, key, json).await
        }
    })
    .await
}

async fn read_rejects(
    served: &PipelineWithPorts,
    selection: &Selection,
    most: u32,
) -> Result<Vec<Reject>, Fault> {
    let tables = selection.parsed()?;
    let (pipeline, ledger) = (&served.pipeline.name, &served.ports.ledger);
    let mut rejects = Vec::new();
    match tables.as_slice() {
        [] => rejects = ledger.rejects(pipeline, None, most).await?,
        tables => {
            for table in tables {
                rejects.extend(ledger.rejects(pipeline, Some(table), most).await?);
            }
        }
    }
    Ok(rejects)
}

#[derive(Serialize)]
struct ListedReject {
    table: String,
    key: Vec<String>,
    code: String,
    reason: String,
    attempts: u64,
    first_seen: String,
    last_seen: String,
}

#[derive(Serialize)]
struct List {
    rejects: Vec<ListedReject>,
}

async fn list(app: &App, selection: &Selection, most: u32, json: bool) -> Result<Exit, Fault> {
    let served = select_pipeline(app, selection.pipeline.as_deref())?;
    let rejects = read_rejects(served, selection, most).await?;
    let exit = if rejects.is_empty() { Exit::Done } else { Exit::Rejected };
    let rejects: Vec<ListedReject> = rejects.into_iter().map(ListedReject::of).collect();
    if json {
        output::print_json(&List { rejects });
        return Ok(exit);
    }
    if rejects.is_empty() {
        println!("No row is rejected.");
        return Ok(exit);
    }
    let rows = rejects.iter().map(|reject| {
        let ListedReject { table, key, code, reason: _, attempts, first_seen, last_seen } = reject;
        let (first, last) = (first_seen.clone(), last_seen.clone());
        [table.clone(), key.join(", "), code.clone(), attempts.to_string(), first, last]
    });
    let heads = ["table", "key", "code", "tried", "first", "last"];
    println!("{}", output::columns(heads, rows));
    for ListedReject { table, key, reason, .. } in &rejects {
        println!("{table} {}: {reason}", key.join(", "));
    }
    if rejects.len() as u64 >= u64::from(most) {
        eprintln!("There may be more; see them with --limit");
    }
    Ok(exit)
}

impl ListedReject {
    fn of(reject: Reject) -> Self {
        let Reject { table, key, code, reason, attempts, first_seen, last_seen } = reject;
        Self {
            table: table.to_string(),
            key: key.values().to_vec(),
            code,
            reason,
            attempts,
            first_seen: timestamp(first_seen),
            last_seen: timestamp(last_seen),
        }
    }
}

async fn retry(app: &App, selection: &Selection, run: &RunId, json: bool) -> Result<Exit, Fault> {
    let served = select_pipeline(app, selection.pipeline.as_deref())?;
    let mut tables: Vec<String> = read_rejects(served, selection, ALL)
        .await?
        .iter()
        .map(|reject| reject.table.to_string())
        .collect();
    tables.sort();
    tables.dedup();
    if tables.is_empty() {
        println!("No row is rejected.");
        return Ok(Exit::Done);
    }
    let chosen = Selection { pipeline: selection.pipeline.clone(), tables };
    let (served, mut job) = sync_job(app, &chosen, ExtraSteps::default(), run)?;
    Ok(report_end(slices(app, served, &mut job, Extent::UntilCaughtUp).await?, json))
}

async fn discard(
    app: &App,
    selection: &Selection,
    key: Option<&[String]>,
    json: bool,
) -> Result<Exit, Fault> {
    let served = select_pipeline(app, selection.pipeline.as_deref())?;
    let [table] = selection.parsed()?.try_into().map_err(|_| one_table())?;
    let keys = match key {
        Some(key) => vec![RowKey::new(key.to_vec())],
        None => read_rejects(served, selection, ALL)
            .await?
            .into_iter()
            .map(|reject| reject.key)
            .collect(),
    };
    let pipeline = &served.pipeline.name;
    let discarded = served.ports.ledger.discard(pipeline, &table, &keys).await?;
    print_discarded(&table, discarded, json);
    Ok(Exit::Done)
}

fn print_discarded(table: &TableName, discarded: u64, json: bool) {
    match json {
        true => output::print_json(&serde_json::json!({ "discarded": discarded })),
        false => println!("Forgot {discarded} rejected rows of {table}."),
    }
}

fn one_table() -> Fault {
    let hint = "name one with --table; `syncline rejects list` tells which have rows";
    Fault::of_call(FaultCode::NoTable, "Rows are discarded of one table", hint)
}

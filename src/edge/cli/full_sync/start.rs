//! Plans, begins and goes on with a session.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use super::bars::Bars;
use super::records;
use crate::edge::cli::serve::interrupted;
use crate::edge::cli::terminal::output::{self, Exit};
use crate::edge::full_sync::price;
use crate::edge::text::{counted, megabytes};
use crate::engine::model::budget::Budget;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::session::{
    CopyOptions, Direction, Method, NewSession, Role, Session, SessionId, SessionState,
};
use crate::engine::model::table::TableName;
use crate::engine::plan::note::Weight;
use crate::jobs::full_sync::estimate::minutes;
use crate::jobs::full_sync::{FullSync, OwnDeployment};
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct StartArguments {
    /// The peer, as SYNC_PEERS names it
    peer: String,
    /// A table, as SQL writes it; may be repeated [default: all of schema public with a key]
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// A condition on the rows of a table, such as "orders=created_at > '2026-01-01'"
    #[arg(long = "where", value_name = "TABLE=CONDITION")]
    filters: Vec<String>,
    /// Send rows as they are, where the network is faster than the processor
    #[arg(long)]
    no_compress: bool,
    /// Compare all rows once they are written; if one differs, nothing is saved
    #[arg(long)]
    verify: bool,
    /// Write each table in a transaction of its own: a failure leaves earlier tables written
    #[arg(long)]
    per_table: bool,
    /// The way of the rows of a push: as one copy, or record by record, which saves each batch of
    /// rows by itself, names the rows that are rejected, and needs no room for a copy on the peer
    #[arg(long, value_enum, default_value = "copy")]
    method: MethodArgument,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum MethodArgument {
    Copy,
    Records,
}

impl StartArguments {
    fn session(&self, direction: Direction) -> Result<NewSession, Fault> {
        Ok(NewSession {
            id: SessionId::from_random(App::random()),
            peer: self.peer.clone(),
            role: Role::Driver,
            direction,
            method: match self.method {
                MethodArgument::Copy => Method::Copy,
                MethodArgument::Records => Method::Records,
            },
            options: self.options()?,
        })
    }

    fn options(&self) -> Result<CopyOptions, Fault> {
        let tables: Vec<TableName> =
            self.tables.iter().map(|text| table(text)).collect::<Result<_, _>>()?;
        let mut filters = BTreeMap::new();
        for text in &self.filters {
            let Some((name, condition)) = text.split_once('=') else {
                return Err(Fault::of_call(
                    FaultCode::BadTable,
                    format!("--where {text} names no table"),
                    "write the table, `=` and the condition: \"orders=id > 100\"",
                ));
            };
            filters.insert(table(name)?, condition.to_owned());
        }
        Ok(CopyOptions {
            tables: (!tables.is_empty()).then_some(tables),
            filters,
            compress: !self.no_compress,
            verify: self.verify,
            per_table: self.per_table,
        })
    }
}

fn table(text: &str) -> Result<TableName, Fault> {
    TableName::parse(text.trim()).map_err(|bad| {
        let hint = "write it as SQL does: orders, sales.orders, \"Order Lines\"";
        Fault::of_call(FaultCode::BadTable, format!("{text} is no table's name"), hint)
            .caused_by(bad)
    })
}

/// Prints what would be copied, and what is in the way.
pub async fn plan(
    app: &App,
    direction: Direction,
    arguments: &StartArguments,
) -> Result<Exit, Fault> {
    let session = arguments.session(direction)?;
    let peer = app.peer(&session.peer)?;
    let job = FullSync { own: app.own_deployment()?, peer, session: &session };
    let (plan, from) = job.plan().await?;
    let bytes = |table: &TableName| from.bytes.get(table).copied().unwrap_or(0);
    let in_all = plan.shapes.iter().map(|shape| bytes(&shape.table)).sum::<u64>();
    let rows = plan.shapes.iter().map(|shape| shape.estimated_rows).sum::<u64>();
    if arguments.json {
        let tables = plan.shapes.iter().map(|shape| {
            serde_json::json!({
                "table": shape.table.to_string(),
                "rows": shape.estimated_rows,
                "bytes": bytes(&shape.table),
            })
        });
        let price = price(&session).into_iter().map(str::to_owned);
        let notes = price.chain(plan.notes.iter().map(ToString::to_string));
        let room = plan.lack_of_room.iter().map(|fault| fault.message.clone());
        let notes: Vec<String> = notes.chain(room).collect();
        output::print_json(&serde_json::json!({
            "direction": direction.name(),
            "peer": session.peer,
            "tables": tables.collect::<Vec<_>>(),
            "rows": rows,
            "bytes": in_all,
            "seconds": plan.time.map(|time| time.as_secs()),
            "notes": notes,
        }));
    } else {
        let lines = plan.shapes.iter().map(|shape| {
            let count = match shape.estimated_rows {
                0 => "not counted yet".to_owned(),
                rows => format!("about {rows}"),
            };
            [shape.table.to_string(), count, megabytes(bytes(&shape.table))]
        });
        print!("{}", output::columns(["table", "rows", "size"], lines));
        // The planner believes in no rows where a table is empty or was never analyzed.
        let is_counted = plan.shapes.iter().all(|shape| shape.estimated_rows > 0);
        let rows =
            if is_counted { format!("About {} and ", counted(rows, "row")) } else { String::new() };
        let tables = counted(plan.shapes.len() as u64, "table");
        println!("{rows}{} in {tables} would be copied.", megabytes(in_all));
        if let Some(price) = price(&session) {
            println!("{price}");
        }
        match plan.time {
            Some(time) => println!("That takes about {}, as the last time.", minutes(time)),
            None => println!("How long that takes is unknown: nothing like it was copied yet."),
        }
        for note in &plan.notes {
            eprintln!("{note}");
        }
        if let Some(Fault { message, hint, .. }) = &plan.lack_of_room {
            eprintln!("{message}; {hint}");
        }
    }
    let has_problem = plan.notes.iter().any(|note| note.weight == Weight::Problem);
    let has_problem = has_problem || plan.lack_of_room.is_some() || plan.shapes.is_empty();
    Ok(if has_problem { Exit::Failed } else { Exit::Done })
}

/// Begins a session and goes on until it is over.
pub async fn start(
    app: &App,
    direction: Direction,
    arguments: &StartArguments,
) -> Result<Exit, Fault> {
    let session = arguments.session(direction)?;
    if let Some(price) = price(&session) {
        eprintln!("{price}");
    }
    go_on(app, &session, arguments.json).await
}

/// Goes on with a session until it is over.
pub async fn go_on(app: &App, session: &NewSession, json: bool) -> Result<Exit, Fault> {
    let own = app.own_deployment()?;
    if session.role == Role::Peer {
        return Err(Fault::of_call(
            FaultCode::NoSession,
            "This full sync is driven by the other deployment",
            "resume it there, or write a copy that is complete with `syncline full-sync apply`",
        ));
    }
    let peer = app.peer(&session.peer)?;
    let job = FullSync { own, peer, session };
    let budget = Budget::UNLIMITED;
    let work = async {
        let driven = job.run(&budget).await;
        own.notify(session, &driven, &budget).await;
        driven
    };
    watched(own, &session.id, work, json).await
}

/// The end of a copy that is applied, for whom the other deployment cannot be told.
const NO_PEER: &str = "SYNC_PEERS does not have the peer any more: it is not told, and frees its \
    copy a day after the last call.";
const DRIVER_LEARNS_LATER: &str = "The deployment that drives the session learns of the end when it \
    resumes the session.";

/// Writes a copy that is here into the tables. A deployment that answers does not know the address
/// of the one that drives the session.
pub async fn apply(app: &App, session: &Session, json: bool) -> Result<Exit, Fault> {
    let own = app.own_deployment()?;
    let Some(manifest) = &session.manifest else {
        return Err(Fault::of_call(
            FaultCode::CopyLost,
            "No whole copy of this full sync is here",
            "resume it on the deployment that drives it",
        ));
    };
    let is_driver = session.new.role == Role::Driver;
    let peer = if is_driver { app.peer(&session.new.peer).ok() } else { None };
    let work = async {
        let applied = own.apply(&session.new, manifest, peer).await;
        if is_driver {
            own.notify(&session.new, &applied, &Budget::UNLIMITED).await;
        }
        applied
    };
    match peer {
        Some(_) => {}
        None if is_driver => eprintln!("{NO_PEER}"),
        None => eprintln!("{DRIVER_LEARNS_LATER}"),
    }
    watched(own, &session.new.id, work, json).await
}

/// Interrupts a session, and returns it.
///
/// 1. Between two phases nobody has the lease, and the statement that takes it is on its way.
/// 2. The signal drops the work, and there is no lease to end.
/// 3. The server takes the lease for nobody, and the session cannot be resumed before its end.
///
/// So the session is looked at again after a moment.
async fn interrupt(own: &OwnDeployment, id: &SessionId) -> Result<Session, Fault> {
    const MOMENT: Duration = Duration::from_millis(100);
    const MOST_LOOKS: u32 = 20;
    let mut looks = 0;
    loop {
        own.interrupt(id).await?;
        tokio::time::sleep(MOMENT).await;
        let session = own.session(id).await?;
        looks += 1;
        if session.state != SessionState::Running || looks == MOST_LOOKS {
            return Ok(session);
        }
    }
}

/// Works at a session, draws its progress, and prints its outcome. Ctrl-C, or the signal that ends
/// a process, interrupts the session, which can be resumed.
async fn watched<T>(
    own: &OwnDeployment,
    id: &SessionId,
    work: impl Future<Output = Result<T, Fault>>,
    json: bool,
) -> Result<Exit, Fault> {
    let mut bars = Bars::new(json);
    let result = {
        let (mut work, mut interrupted) = (pin!(work), pin!(interrupted()));
        loop {
            let session = async {
                tokio::time::sleep(Bars::PAUSE).await;
                own.session(id).await
            };
            tokio::select! {
                biased;
                result = &mut work => break Some(result),
                () = &mut interrupted => break None,
                session = session => session.iter().for_each(|session| bars.show(session)),
            }
        }
    };
    let Some(result) = result else {
        let session = interrupt(own, id).await?;
        bars.end();
        // The commit may have been under way.
        if session.state == SessionState::Completed {
            return records::session(&session, json);
        }
        eprintln!("Interrupted. Go on with: syncline full-sync resume {id}");
        return Ok(Exit::Interrupted);
    };
    if let Ok(session) = own.session(id).await {
        bars.show(&session);
        bars.end();
        if result.is_ok() {
            return records::session(&session, json);
        }
        if !json && !session.state.is_over() {
            eprintln!("Go on with: syncline full-sync resume {id}");
            eprint!("{}", records::rejected_rows(&session));
        }
    }
    result.map(|_| Exit::Done)
}

//! The contracts of `engine/ports`, a test for each promise, over every implementation: a database
//! over a connection, a database behind our function in a project, and, as a source, a project that
//! is read by its tables. `digests` and `source` take all sources, `target` and `ledger` both
//! targets; `copies` is about the sessions and spools of full syncs, `contacts` about people. The
//! queue, the notifier and the clock have one implementation each.

mod contacts;
mod copies;
mod desk;
mod digests;
mod ledger;
mod source;
mod target;

use std::future::ready;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use syncline::adapters::open_source;
use syncline::adapters::postgres::PostgresTarget;
use syncline::engine::model::address::{Address, Database as Place};
use syncline::engine::model::checkpoint::{Checkpoint, Reached, Scan};
use syncline::engine::model::cron::Cron;
use syncline::engine::model::cursor::{CursorValue, Pass};
use syncline::engine::model::database::DatabaseUrl;
use syncline::engine::model::deletes::Deletes;
use syncline::engine::model::delivery::Chain;
use syncline::engine::model::meter::Meter;
use syncline::engine::model::page::{Page, PageLimit};
use syncline::engine::model::pipeline::{Pipeline, TargetTriggers};
use syncline::engine::model::project::Project;
use syncline::engine::model::range::Side;
use syncline::engine::model::run::{RunEnd, RunId, RunKind, Trigger};
use syncline::engine::model::shape::Shape;
use syncline::engine::model::shape_mark::ShapeMark;
use syncline::engine::plan::tables;
use syncline::engine::ports::{
    Batch, ClosedRun, Committed, Ledger, NewRun, Opened, OpenedRun, ReadPage, Source, Target,
};
use syncline::wiring::App;
use tokio_postgres::Client;

use crate::world::over_api::{GRANTS, allow_to_suppress};
use crate::world::postgrest::Standin;
use crate::world::{Database, connect, fresh_database};

const SCHEMA: &str = "create table parents (id int primary key, updated_at timestamptz not null); \
    create table items (id int primary key, parent int references parents, v int, \
        updated_at timestamptz not null); create index on items (updated_at, id);";

/// Five parents, and fifty items that point to them in turn.
const ROWS: &str = "insert into parents select i, timestamptz '2026-01-01' + i * interval '1 min' \
        from generate_series(1, 5) i; \
    insert into items select i, 1 + i % 5, i, timestamptz '2026-01-01' + i * interval '1 min' \
        from generate_series(1, 50) i";

const PIPELINE: &str = "main";

/// The way a side is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Connection,
    Function,
    Tables,
}

/// A source and a target of one test's own, and what is moved between them.
struct Sides {
    name: String,
    source: Box<dyn Source>,
    target: PostgresTarget,
    at_source: Client,
    at_target: Client,
    parents: Shape,
    items: Shape,
    _apis: Vec<Standin>,
}

/// All implementations of a source, each with a target over a connection.
async fn all_sources() -> Vec<Sides> {
    let mut all = Vec::new();
    for source in [Transport::Connection, Transport::Function, Transport::Tables] {
        all.push(Sides::new(source, Transport::Connection).await);
    }
    all
}

/// All implementations of a target, each with a source over a connection.
async fn all_targets() -> Vec<Sides> {
    let mut all = Vec::new();
    for target in [Transport::Connection, Transport::Function] {
        all.push(Sides::new(Transport::Connection, target).await);
    }
    all
}

async fn place(
    database: &Database,
    client: &Client,
    transport: Transport,
    side: Side,
    apis: &mut Vec<Standin>,
) -> Place {
    if transport == Transport::Connection {
        return Place::Server(DatabaseUrl::parse(&database.url).unwrap());
    }
    if transport == Transport::Function {
        client.batch_execute(&App::project_sql(side, "public")).await.unwrap();
    }
    let api = Standin::over(database).await;
    client.batch_execute(GRANTS).await.unwrap();
    let project = Project::parse(side, api.url(), ("its key", api.service_key())).unwrap();
    apis.push(api);
    Place::Project(project)
}

impl Sides {
    fn is_target_connected(&self) -> bool {
        self.name.ends_with("to Connection")
    }

    async fn new(from: Transport, to: Transport) -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let (source, target) = (fresh_database("source").await, fresh_database("target").await);
        let at_source = connect(&source.url).await.unwrap();
        let at_target = connect(&target.url).await.unwrap();
        at_source.batch_execute(&format!("{SCHEMA} {ROWS}")).await.unwrap();
        at_target.batch_execute(SCHEMA).await.unwrap();
        let mut apis = Vec::new();
        let source = place(&source, &at_source, from, Side::Source, &mut apis).await;
        let target = place(&target, &at_target, to, Side::Target, &mut apis).await;
        if to == Transport::Function {
            allow_to_suppress(&at_target).await;
        }
        let meter = Meter::default();
        let source = open_source(Address::Postgres(source), &meter);
        let target = PostgresTarget::new(target, "public", TargetTriggers::Fire, meter);
        let facts = source.describe(None).await.unwrap();
        let plan =
            tables::plan(&pipeline(), &facts, &Target::describe(&target, None).await.unwrap());
        let shape = |name: &str| {
            let found = plan.shapes.iter().find(|shape| shape.table.name() == name);
            found.unwrap_or_else(|| panic!("{name} is not planned: {:?}", plan.notes)).clone()
        };
        let (parents, items) = (shape("parents"), shape("items"));
        let name = format!("{from:?} to {to:?}");
        Self { name, source, target, at_source, at_target, parents, items, _apis: apis }
    }

    async fn text_target(&self, query: &str) -> String {
        self.at_target.query_one(query, &[]).await.unwrap().get(0)
    }

    /// The next page of a scan by key.
    async fn page(&self, shape: &Shape, scan: &Scan, rows: u32) -> Page {
        let limit = PageLimit { rows, bytes: 1 << 20 };
        let read = ReadPage { shape, scan, overlap: Duration::ZERO, limit };
        self.source.read(&read).await.unwrap()
    }

    /// All rows of a table.
    async fn all_rows(&self, shape: &Shape) -> Page {
        let page = self.page(shape, &scan(), 1_000).await;
        assert!(page.complete, "{}", self.name);
        page
    }

    async fn open(&self, chain: &Chain) -> Opened {
        self.open_run(&run_id(), chain).await
    }

    async fn open_run(&self, id: &RunId, chain: &Chain) -> Opened {
        let run = NewRun {
            id,
            pipeline: PIPELINE,
            kind: RunKind::Incremental,
            trigger: Trigger::Manual,
            chain,
            delivery: None,
            lease: Duration::from_secs(60),
        };
        let (_, opened) = self.target.open(&run, None, Box::pin(ready(None))).await.unwrap();
        opened.expect("the target can be synced into")
    }

    async fn begin(&self, run: &RunId) -> OpenedRun {
        match self.open_run(run, &Chain::new(run.as_str())).await {
            Opened::Run(opened) => opened,
            other => panic!("{}: {other:?}", self.name),
        }
    }

    /// Ends the lease's time, as if its run had died an hour ago.
    async fn expire_lease(&self) {
        let expire = "update sync_state set value = jsonb_set(value, '{expires_at}', \
            to_jsonb((now() - interval '1 hour')::text)) where key = 'lease:main'";
        self.at_target.batch_execute(expire).await.unwrap();
    }

    async fn end(&self, opened: OpenedRun, run: &RunId) {
        let closed = ClosedRun { id: run, end: RunEnd::Success, error: None, calls: 0 };
        self.target.close(opened.lease, &closed).await.unwrap();
    }

    /// Saves all rows of both tables, and returns what became of the items.
    async fn save_all(&self, opened: &OpenedRun, run: &RunId) -> Committed {
        self.save(opened, run, &self.parents).await;
        self.save(opened, run, &self.items).await
    }

    async fn save(&self, opened: &OpenedRun, run: &RunId, shape: &Shape) -> Committed {
        let (page, checkpoint) = (self.all_rows(shape).await, checkpoint(shape));
        let batch = Batch { run, shape, page: &page, checkpoint: &checkpoint, fresh: false };
        self.target.commit(&opened.lease, &batch).await.unwrap()
    }
}

fn checkpoint(shape: &Shape) -> Checkpoint {
    let kept = Some(CursorValue::new("2026-01-01 00:50:00+00"));
    let reached = Reached { kept, ..Reached::default() };
    Checkpoint { shape: ShapeMark::new(shape), reached, scan: None }
}

/// A scan of everything in the order of keys.
fn scan() -> Scan {
    Scan {
        pass: Pass::ByKey,
        then: Vec::new(),
        after: None,
        from: None,
        watermark: None,
        fresh: false,
        goal: Reached::default(),
    }
}

fn run_id() -> RunId {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    RunId::from_random([NEXT.fetch_add(1, Ordering::Relaxed); 16])
}

/// A pipeline with the usual settings.
pub fn pipeline() -> Pipeline {
    Pipeline {
        name: PIPELINE.to_owned(),
        cron: Cron::parse("0 * * * *", "UTC").unwrap(),
        tables: None,
        rules: Vec::new(),
        page_rows: 1_000,
        overlap: Duration::ZERO,
        lease: Duration::from_secs(60),
        deletes: Deletes::Off,
        add_columns: false,
        lookback: None,
        triggers: TargetTriggers::default(),
    }
}

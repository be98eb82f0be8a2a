//! Pages of JSON between two servers, as if one of them spoke nothing else: what an API's pages are
//! made of arrives in every byte, is told apart row by row, and is left alone when nothing changed.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use syncline::engine::model::budget::Budget;
use syncline::engine::model::deletes::Cap;
use syncline::engine::model::delivery::Chain;
use syncline::engine::model::facts::Facts;
use syncline::engine::model::fault::Fault;
use syncline::engine::model::page::Page;
use syncline::engine::model::range::RowKey;
use syncline::engine::model::run::{Tally, Trigger};
use syncline::engine::model::sequence::Sequence;
use syncline::engine::model::shape::Shape;
use syncline::engine::model::survey::{Survey, SurveyAsk};
use syncline::engine::model::table::TableName;
use syncline::engine::model::writer::Writer;
use syncline::engine::ports::{Ancestors, Digests, Fetch, FetchParents, ReadPage, Source};
use syncline::jobs::sync_tables::{Outcome, SyncReport, SyncTables};
use syncline::wiring::App;

use crate::values::every_type;
use crate::world::cluster;
use crate::world::pair::Pair;
use crate::world::servers::release;

/// A source that says that it speaks JSON alone.
struct JsonAlone<'a>(&'a dyn Source);

#[async_trait]
impl Source for JsonAlone<'_> {
    fn digests(&self) -> &dyn Digests {
        self.0.digests()
    }

    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault> {
        Ok(Facts { json_alone: true, ..self.0.describe(tables).await? })
    }

    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault> {
        self.0.sequences(tables).await
    }

    async fn survey(&self, asks: &[SurveyAsk<'_>], overlap: Duration) -> Result<Survey, Fault> {
        self.0.survey(asks, overlap).await
    }

    async fn writers(&self) -> Result<BTreeSet<Writer>, Fault> {
        self.0.writers().await
    }

    async fn read(&self, read: &ReadPage<'_>) -> Result<Page, Fault> {
        let page = self.0.read(read).await?;
        assert!(page.bytes.is_empty() || page.bytes.starts_with(b"{\""), "it is not JSON");
        Ok(page)
    }

    async fn fetch(&self, fetch: &Fetch<'_>) -> Result<Page, Fault> {
        self.0.fetch(fetch).await
    }

    async fn parents(&self, fetch: &FetchParents<'_>) -> Result<Page, Fault> {
        self.0.parents(fetch).await
    }

    async fn ancestors(&self, ask: &Ancestors<'_>) -> Result<Vec<(RowKey, RowKey)>, Fault> {
        self.0.ancestors(ask).await
    }

    fn keys(&self, shape: &Shape, page: &Page) -> Result<Vec<RowKey>, Fault> {
        self.0.keys(shape, page)
    }
}

/// One run over JSON, to its end.
async fn sync(pair: &Pair) -> SyncReport {
    let app = App::function(&|name| pair.settings().get(name).cloned()).expect("it is set up");
    let served = app.only().expect("there is one pipeline");
    let run = app.new_run();
    let job = SyncTables {
        pipeline: served.pipeline.clone(),
        trigger: Trigger::Manual,
        chain: Chain::new(run.as_str()),
        delivery: None,
        sequences: false,
        run,
        cap: Cap::Kept,
        reread: false,
    };
    let ports = &served.ports;
    let source = JsonAlone(&*ports.source);
    let plan = job.plan(&source, &*ports.target, &*ports.ledger).await.expect("it can be planned");
    assert!(plan.to_string().contains(", json)"), "{plan}");
    let outcome = job
        .slice(
            &source,
            &*ports.target,
            &*ports.ledger,
            &*ports.clock,
            &ports.meter,
            &Budget::UNLIMITED,
        )
        .await
        .expect("a run begins");
    let Outcome::Done(report) = outcome else { panic!("it is not done: {outcome:?}") };
    pair.assert_closed().await;
    report
}

fn tally(report: &SyncReport) -> Tally {
    let mut sum = Tally::default();
    for table in report.tables.values() {
        sum += table.tally;
    }
    sum
}

const REJECTS: &str =
    "select coalesce(string_agg(table_name || ': ' || reason, '; '), '') from sync_rejects";

#[tokio::test]
async fn a_value_of_every_type_travels_as_json_in_every_byte_and_is_left_alone() {
    let release = release(cluster());
    let pair = Pair::with(&every_type::schema(release)).await;
    pair.sql_source(&every_type::rows(release)).await;
    let first = tally(&sync(&pair).await);
    assert_eq!(pair.text_target(REJECTS).await, "");
    every_type::assert_same_bytes(&pair, release).await;

    let mut touch = String::new();
    for table in every_type::tables(release) {
        touch.push_str(&format!("update {table} set n = 1, updated_at = '2026-01-02';"));
    }
    pair.sql_source(&touch).await;
    let second = tally(&sync(&pair).await);
    assert_eq!(second, Tally { updated: first.inserted, ..Tally::default() });
    every_type::assert_same_bytes(&pair, release).await;
    assert_eq!(tally(&sync(&pair).await), Tally::default());
}

/// Texts that a line of JSON, or of COPY, could be torn by.
pub const HOSTILE: &str = "create table words (word text primary key, other text, raw json, many text[], \
    updated_at timestamptz not null); create index on words (updated_at, word);";

/// Such texts as keys, as values and inside of JSON and arrays.
pub const HOSTILE_WORDS: &str = r#"insert into words select w, w, to_json(w), array[w, null, 'NULL', ''],
                 timestamptz '2026-01-01' + (n / 3) * interval '1 second'
               from unnest(array[E'a\nb', E'\r\n', E'\t', '"', '""', '\', '\\', '\n', '\N', '\.', '}', '},', '{"a":1}',
                 E'}, \n {', '[', ',', U&'\2028', U&'\2029', U&'\+01F600', U&'e\0301', E'\x01', E'\x02', E'\x7f', '/',
                 'null', 'true', '', ' ', U&'\FEFF', '''', '%', '+', repeat(E'"\\\n', 3000)]) with ordinality as of(w, n);
               insert into words values ('nothing', null, null, null, now());"#;

#[tokio::test]
async fn hostile_texts_are_keys_and_values_across_the_borders_of_pages() {
    for page in ["1", "3", "1000"] {
        let pair = Pair::with(HOSTILE).await.set("SYNC_PAGE_ROWS", page);
        pair.sql_source(HOSTILE_WORDS).await;
        let rows = tally(&sync(&pair).await).inserted;
        assert_eq!(rows, 34, "in pages of {page}");
        pair.assert_equal(&["words"]).await;
        assert_eq!(tally(&sync(&pair).await), Tally::default());
    }
}

#[tokio::test]
async fn rows_that_the_target_refuses_are_told_apart_in_a_page_of_json() {
    let schema = "create table people (id int primary key, name varchar(9), \
        mentor int references people, updated_at timestamptz not null); \
        create index on people (updated_at, id);";
    let target = schema.replace("varchar(9)", "varchar(9) check (name <> 'bad \"one\"')");
    let pair = Pair::of(schema, &target).await.set("SYNC_PAGE_ROWS", "20");
    // Two that point to each other are the first and the last; one of seven is refused, and who
    // points to that one waits for it.
    pair.sql_source(
        "insert into people select i, case when i % 7 = 0 then 'bad \"one\"' else E'p\\n' || i end, \
             case i when 1 then 90 when 90 then 1 else case when i % 7 = 6 then i + 1 end end, \
             timestamptz '2026-01-01' + i * interval '1 second' from generate_series(1, 90) i",
    )
    .await;
    let first = sync(&pair).await;
    assert_eq!(tally(&first).inserted, 90 - 12 - 12, "{first:?}");
    let refused = "select string_agg(code, ' ' order by key[1]::int) from sync_rejects";
    assert_eq!(pair.text_target(refused).await, ["23503 23514"; 12].join(" "));

    pair.sql_source("update people set name = 'good', updated_at = now() where id % 7 = 0").await;
    sync(&pair).await;
    assert_eq!(pair.text_target(REJECTS).await, "");
    pair.assert_equal(&["people"]).await;
    assert_eq!(tally(&sync(&pair).await), Tally::default());
}

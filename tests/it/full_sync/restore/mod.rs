//! The promises of `RestoreSide` and `Restore`: the transaction that writes a copy.

mod references;
mod sessions;

use std::collections::BTreeMap;
use std::time::Duration;

use syncline::adapters::postgres::PostgresCopies;
use syncline::engine::model::address::Database as Place;
use syncline::engine::model::database::DatabaseUrl;
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::manifest::RowsDigest;
use syncline::engine::model::meter::Meter;
use syncline::engine::model::page::{Encoding, Page};
use syncline::engine::model::run::Tally;
use syncline::engine::model::session::{
    CopyOptions, Direction, Method, NewSession, Restored, RestoredTable, Role, Session, SessionId,
    SessionLease, SessionState,
};
use syncline::engine::model::shape::Shape;
use syncline::engine::model::table::TableName;
use syncline::engine::model::trigger::Firing;
use syncline::engine::plan::tables;
use syncline::jobs::full_sync::ports::{
    Claim, CopyStore, Extent, LackingParents, Restore, RestoreConstraints, RestoreSide,
    RestoredPage,
};
use tokio_postgres::Client;

use crate::contract::pipeline;
use crate::world::{Database, connect, fresh_database};

const LEASE: Duration = Duration::from_secs(60);

const ITEMS: &str = "create table items (id int primary key, name text);";

/// A database that a copy of its own tables goes into, and a session that is held.
struct Target {
    database: Database,
    client: Client,
    copies: PostgresCopies,
    held: SessionLease,
    shapes: BTreeMap<String, Shape>,
}

impl Target {
    async fn with(schema: &str) -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let database = fresh_database("restored").await;
        let client = connect(&database.url).await.unwrap();
        client.batch_execute(schema).await.unwrap();
        let place = Place::Server(DatabaseUrl::parse(&database.url).unwrap());
        let copies = PostgresCopies::new(place, "public", Meter::default());
        let session = NewSession {
            id: SessionId::from_random([1; 16]),
            peer: "prod".to_owned(),
            role: Role::Driver,
            direction: Direction::Pull,
            method: Method::Copy,
            options: CopyOptions::default(),
        };
        copies.open(&session).await.unwrap();
        let held = SessionLease { session: session.id, holder: "worker".to_owned() };
        assert_eq!(copies.hold(&held, LEASE).await.unwrap(), Claim::Ours);
        let facts = copies.describe(None).await.unwrap().facts;
        // Both sides come from the same migrations.
        let plan = tables::plan(&pipeline(), &facts, &facts);
        let shapes = plan.shapes.into_iter().map(|shape| {
            (shape.table.name().to_owned(), Shape { encoding: Encoding::Text, ..shape })
        });
        Self { database, client, copies, held, shapes: shapes.collect() }
    }

    fn shape(&self, table: &str) -> &Shape {
        &self.shapes[table]
    }

    /// Has triggers fire as if the source had none of them.
    fn fire_triggers(&mut self) {
        self.shapes.values_mut().for_each(|shape| shape.triggers = Firing::Fire);
    }

    async fn begin(&self, constraints: RestoreConstraints) -> Box<dyn Restore> {
        let shapes: Vec<Shape> = self.shapes.values().cloned().collect();
        self.copies.begin(&shapes, constraints).await.unwrap()
    }

    async fn sql(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    async fn text(&self, query: &str) -> String {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }

    async fn session(&self) -> Session {
        self.copies.session(&self.held.session).await.unwrap().unwrap()
    }

    /// All rows of `items`.
    async fn items(&self) -> String {
        let rows = "select coalesce(string_agg(items::text, ' ' order by id), '') from items";
        self.text(rows).await
    }

    async fn write(&self, restore: &mut dyn Restore, table: &str, rows: &str) -> RestoredPage {
        restore.page(self.shape(table), &page(rows), LackingParents::Wait).await.unwrap()
    }

    async fn leave_out(&self, restore: &mut dyn Restore, table: &str, rows: &str) -> RestoredPage {
        restore.page(self.shape(table), &page(rows), LackingParents::LeaveOut).await.unwrap()
    }

    async fn commit(&self, restore: Box<dyn Restore>) {
        restore.commit(&self.held, &[], &Restored::default(), Extent::All).await.unwrap();
    }
}

/// Rows as words with spaces between their values, and commas between the rows.
fn page(rows: &str) -> Page {
    let lines: Vec<&str> = rows.split(',').collect();
    let bytes = lines.iter().map(|row| row.trim().replace(' ', "\t") + "\n").collect::<String>();
    Page { bytes: bytes.into(), rows: lines.len() as u64, last: None, complete: true }
}

fn keys(page: &RestoredPage) -> Vec<String> {
    page.refused.iter().map(|row| format!("{} {}", row.key.join("/"), row.code)).collect()
}

fn tally(inserted: u64, updated: u64, unchanged: u64) -> Tally {
    Tally { inserted, updated, unchanged, ..Tally::default() }
}

const AT_THE_END: RestoreConstraints = RestoreConstraints::AtTheEnd;

#[tokio::test]
async fn a_table_is_digested_if_it_has_as_many_rows_as_the_copy() {
    let target = Target::with(ITEMS).await;
    target.sql("insert into items values (2, E'b\\t'), (1, null)").await;
    let mut digest = RowsDigest::default();
    for row in ["1\t\\N", "2\tb\\t"] {
        digest.add_row(row.as_bytes());
    }
    let mut restore = target.begin(RestoreConstraints::AtTheEnd).await;
    let items = target.shape("items").clone();
    for (rows, expected) in [(2, Some(digest)), (1, None), (3, None)] {
        assert_eq!(restore.digest(&items, rows, None).await.unwrap(), expected, "{rows}");
    }
    target.write(&mut *restore, "items", "3 c").await;
    assert!(restore.digest(&items, 3, None).await.unwrap().is_some_and(|other| other != digest));
    drop(restore);

    target.sql("delete from items").await;
    let mut restore = target.begin(RestoreConstraints::AtTheEnd).await;
    assert_eq!(restore.digest(&items, 0, None).await.unwrap(), None, "there is nothing to compare");
}

#[tokio::test]
async fn rows_go_into_an_empty_table_and_the_session_is_completed_with_them() {
    let target = Target::with(ITEMS).await;
    let mut restore = target.begin(AT_THE_END).await;
    let first = target.write(&mut *restore, "items", "1 a, 2 b").await;
    let second = target.write(&mut *restore, "items", "3 c").await;
    assert_eq!((first.tally, second.tally), (tally(2, 0, 0), tally(1, 0, 0)));
    assert_eq!(target.items().await, "");
    let counts = RestoredTable { inserted: 3, ..RestoredTable::default() };
    let tables = BTreeMap::from([(TableName::new("public", "items"), counts)]);
    let restored = Restored { tables, ..Restored::default() };

    restore.commit(&target.held, &[], &restored, Extent::All).await.unwrap();

    assert_eq!(target.items().await, "(1,a) (2,b) (3,c)");
    let session = target.session().await;
    assert_eq!((session.state, session.restored), (SessionState::Completed, Some(restored)));
    assert_eq!(session.lease_left, Duration::ZERO);
}

#[tokio::test]
async fn equal_rows_stay_untouched_also_when_they_come_again() {
    let target =
        Target::with(&format!("{ITEMS} insert into items values (1, 'a'), (2, 'x')")).await;
    let version = "select xmin::text from items where id = 1";
    let before = target.text(version).await;
    let mut restore = target.begin(AT_THE_END).await;
    let rows = "1 a, 2 b, 3 c";
    let first = target.write(&mut *restore, "items", rows).await;
    let second = target.write(&mut *restore, "items", rows).await;
    assert_eq!((first.tally, second.tally), (tally(1, 1, 1), tally(0, 0, 3)));
    target.commit(restore).await;
    assert_eq!(target.text(version).await, before);
    assert_eq!(target.items().await, "(1,a) (2,b) (3,c)");
}

#[tokio::test]
async fn rows_that_went_into_an_empty_table_are_equal_when_they_come_again() {
    let target = Target::with(ITEMS).await;
    let mut restore = target.begin(AT_THE_END).await;
    target.write(&mut *restore, "items", "1 a, 2 b").await;
    let again = target.write(&mut *restore, "items", "1 a, 2 c, 3 d").await;
    assert_eq!(again.tally, tally(1, 1, 1));
    target.commit(restore).await;
    assert_eq!(target.items().await, "(1,a) (2,c) (3,d)");
}

#[tokio::test]
async fn a_refused_row_is_named_and_nothing_is_saved_without_a_commit() {
    let target = Target::with(&format!("{ITEMS} alter table items add check (id <> 2)")).await;
    let mut restore = target.begin(AT_THE_END).await;
    let page = target.write(&mut *restore, "items", "1 a, 2 b, 3 c").await;
    assert_eq!((page.tally.inserted, page.tally.rejected), (2, 1));
    assert_eq!(keys(&page), ["2 23514"]);
    drop(restore);
    assert_eq!(target.items().await, "");
    assert_eq!(target.session().await.state, SessionState::Running);
    target.begin(AT_THE_END).await;
}

/// The server ends a COPY at its end marker, and skips what stands behind it without a word.
#[tokio::test]
async fn a_page_of_which_the_server_takes_fewer_rows_is_not_counted_as_written() {
    let target = Target::with(ITEMS).await;
    for filled in ["", "insert into items values (0, 'so that the page is compared')"] {
        target.sql(filled).await;
        let mut restore = target.begin(AT_THE_END).await;
        let page = page(r"1 a,\.,3 c");
        let written = restore.page(target.shape("items"), &page, LackingParents::Wait).await;
        let fault = written.expect_err("two rows were skipped");
        assert_eq!(fault.code, FaultCode::BadFrame);
        assert!(fault.chain().contains("1 of 3 rows"), "{}", fault.chain());
    }
}

#[tokio::test]
async fn of_a_page_with_too_many_refused_rows_the_first_are_named_and_nothing_is_written() {
    let target = Target::with(&format!("{ITEMS} alter table items add check (id > 1500)")).await;
    let mut restore = target.begin(AT_THE_END).await;
    let rows: Vec<String> = (1..=2_000).map(|id| format!("{id} a")).collect();
    let written = target.write(&mut *restore, "items", &rows.join(",")).await;
    assert_eq!((written.has_more, written.tally), (true, Tally::default()));
    assert_eq!(keys(&written)[..2], ["1 23514", "2 23514"]);
    let page = target.write(&mut *restore, "items", "1501 a").await;
    assert_eq!((page.has_more, page.tally), (false, tally(1, 0, 0)), "the transaction goes on");
    target.commit(restore).await;
    assert_eq!(target.items().await, "(1501,a)");
}

#[tokio::test]
async fn a_row_that_somebody_holds_locked_waits() {
    let target =
        Target::with(&format!("{ITEMS} insert into items values (1, 'a'), (2, 'b')")).await;
    let mut restore = target.begin(AT_THE_END).await;
    let other = connect(&target.database.url).await.unwrap();
    other.batch_execute("begin; update items set name = 'z' where id = 1").await.unwrap();
    let page = target.write(&mut *restore, "items", "1 x, 2 y").await;
    assert_eq!((keys(&page), page.tally.updated), (vec!["1 55P03".to_owned()], 1));
    other.batch_execute("rollback").await.unwrap();
    let page = target.write(&mut *restore, "items", "1 x").await;
    assert_eq!(page.tally, tally(0, 1, 0));
    target.commit(restore).await;
    assert_eq!(target.items().await, "(1,x) (2,y)");
}

#[tokio::test]
async fn an_identity_keeps_its_values_and_a_generated_column_is_computed() {
    let target = Target::with(
        "create table items (id int generated always as identity primary key, a int, \
             twice int generated always as (2 * a) stored);",
    )
    .await;
    let mut restore = target.begin(AT_THE_END).await;
    target.write(&mut *restore, "items", "5 1").await;
    target.write(&mut *restore, "items", "5 2, 7 3").await;
    target.commit(restore).await;
    assert_eq!(target.items().await, "(5,2,4) (7,3,6)");
}

/// The locks of whoever writes a copy, and the bytes of temporary tables on the disk.
const LOCKS_AND_BYTES: &str = "select concat_ws(' ', \
    (select count(*) from pg_locks where pid = (select pid from pg_locks \
        where locktype = 'advisory' and granted and database = (select oid from pg_database \
            where datname = current_database()))), \
    (select coalesce(sum((pg_stat_file('base/' || d.oid || '/' || name, true)).size), 0) \
        from pg_database as d, pg_ls_dir('base/' || d.oid) as name \
        where d.datname = current_database() and name ~ '^t[0-9]+_'))";
#[tokio::test]
async fn many_pages_hold_no_more_locks_and_no_more_disk_than_one() {
    let target = Target::with(&format!("{ITEMS} insert into items values (0, 'a')")).await;
    let mut restore = target.begin(AT_THE_END).await;
    let mut told = Vec::new();
    for number in 0..12 {
        let rows = (1..2_000).map(|row| format!("{} {}", 2_000 * number + row, "x".repeat(200)));
        let rows: Vec<String> = rows.collect();
        let page = target.write(&mut *restore, "items", &rows.join(",")).await;
        assert_eq!(page.tally.inserted, 1_999);
        let text = target.text(LOCKS_AND_BYTES).await;
        let (locks, bytes) = text.split_once(' ').unwrap();
        told.push((locks.parse::<u64>().unwrap(), bytes.parse::<u64>().unwrap()));
    }
    let (first, last) = (told[1], told[11]);
    assert!(first.0 > 0 && last.0 <= first.0, "{told:?}");
    assert!(first.1 > 300_000 && last.1 < 2 * first.1, "{told:?}");
}

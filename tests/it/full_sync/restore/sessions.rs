//! The end of a restore, and when none begins.

use syncline::adapters::postgres::PostgresCopies;
use syncline::engine::model::address::Database as Place;
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::meter::Meter;
use syncline::engine::model::project::Project;
use syncline::engine::model::range::Side;
use syncline::engine::model::sequence::SequenceStep;
use syncline::engine::model::session::{Restored, RestoredTable, SessionLease, SessionState};
use syncline::engine::model::table::TableName;
use syncline::jobs::full_sync::ports::{Claim, CopyStore, Extent, RestoreSide};

use super::{AT_THE_END, ITEMS, LEASE, Target};

#[tokio::test]
async fn sequences_go_forward_only_and_not_without_the_session() {
    let target = Target::with(
        "create table items (id bigserial primary key, other bigserial); \
         select setval('items_other_seq', 90)",
    )
    .await;
    let step = |name: &str| SequenceStep {
        sequence: TableName::new("public", name),
        from: None,
        to: 50,
        descends: false,
    };
    let steps = [step("items_id_seq"), step("items_other_seq")];
    let next = "select concat_ws(' ', last_value, (select last_value from items_other_seq)) \
        from items_id_seq";
    let stranger = SessionLease { holder: "other".to_owned(), ..target.held.clone() };
    let restore = target.begin(AT_THE_END).await;
    let fault =
        restore.commit(&stranger, &steps, &Restored::default(), Extent::Some).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::LeaseLost);
    assert_eq!(target.text(next).await, "1 90");

    let restore = target.begin(AT_THE_END).await;
    restore.commit(&target.held, &steps, &Restored::default(), Extent::Some).await.unwrap();

    assert_eq!(target.text(next).await, "50 90");
    assert_eq!(target.session().await.state, SessionState::Running);
    let found = target.copies.sequences(&[TableName::new("public", "items")]).await.unwrap();
    let last: Vec<_> = found.iter().map(|sequence| sequence.last).collect();
    assert_eq!(last, [Some(50), Some(90)]);
}

#[tokio::test]
async fn nothing_is_saved_of_a_session_that_was_taken_over_or_cancelled() {
    let target = Target::with(ITEMS).await;
    let mut restore = target.begin(AT_THE_END).await;
    target.write(&mut *restore, "items", "1 a").await;
    target.sql("update full_sync_sessions set lease_until = now() - interval '1 s'").await;
    let other = SessionLease { holder: "other".to_owned(), ..target.held.clone() };
    assert_eq!(target.copies.hold(&other, LEASE).await.unwrap(), Claim::Ours);
    let outcome = Restored::default();
    let fault = restore.commit(&target.held, &[], &outcome, Extent::All).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::LeaseLost);
    assert_eq!(target.items().await, "");

    let mut restore = target.begin(AT_THE_END).await;
    target.write(&mut *restore, "items", "1 a").await;
    target.copies.end(&other.session, SessionState::Cancelled, None).await.unwrap();
    let fault = restore.commit(&other, &[], &outcome, Extent::All).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::LeaseLost);
    assert_eq!(target.items().await, "");
    assert_eq!(target.session().await.state, SessionState::Cancelled);
}

#[tokio::test]
async fn a_database_takes_one_copy_at_a_time_and_its_session_can_be_renewed_meanwhile() {
    let target = Target::with(ITEMS).await;
    let mut restore = target.begin(AT_THE_END).await;
    target.write(&mut *restore, "items", "1 a").await;
    let shapes = [target.shape("items").clone()];
    let second = target.copies.begin(&shapes, AT_THE_END).await.err().unwrap();
    assert_eq!(second.code, FaultCode::Busy);
    assert_eq!(target.copies.hold(&target.held, LEASE).await.unwrap(), Claim::Ours);
    target.commit(restore).await;
}

#[tokio::test]
async fn a_table_that_was_altered_since_the_plan_is_not_written() {
    let target = Target::with(ITEMS).await;
    target.sql("alter table items alter name type varchar(5)").await;
    let shapes = [target.shape("items").clone()];
    let fault = target.copies.begin(&shapes, AT_THE_END).await.err().unwrap();
    assert_eq!(fault.code, FaultCode::SchemaChanged);
    assert_eq!(fault.table, Some(shapes[0].table.clone()));
}

#[tokio::test]
async fn over_an_api_no_copy_is_written_and_the_remedy_is_named() {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let key = ("its key", "sb_secret_of_the_tests");
    let project = Project::parse(Side::Target, "https://abcdefghijklmnopqrst.supabase.co", key);
    let place = Place::Project(project.unwrap());
    let copies = PostgresCopies::new(place, "public", Meter::default());
    let fault = copies.begin(&[], AT_THE_END).await.err().unwrap();
    assert_eq!(fault.code, FaultCode::NoConnection);
    assert!(fault.hint.contains("postgres://"), "{}", fault.hint);
}

#[tokio::test]
async fn the_bytes_of_each_table_are_told() {
    let target = Target::with(&format!(
        "{ITEMS} insert into items select i, repeat('x', 100) from generate_series(1, 1000) i; \
         create table parts (id int primary key) partition by range (id); \
         create table part_1 partition of parts for values from (0) to (9999); \
         insert into parts select generate_series(1, 5000)"
    ))
    .await;
    let bytes = target.copies.describe(None).await.unwrap().bytes;
    for table in ["items", "parts"] {
        let bytes = bytes[&TableName::new("public", table)];
        assert!((100_000..500_000).contains(&bytes), "{table}: {bytes}");
    }
}

#[tokio::test]
async fn the_tables_that_are_saved_are_recorded_with_their_commit() {
    let target = Target::with(ITEMS).await;
    let mut restore = target.begin(AT_THE_END).await;
    target.write(&mut *restore, "items", "1 a").await;
    let counts = RestoredTable { inserted: 1, ..RestoredTable::default() };
    let tables = [(TableName::new("public", "items"), counts)].into();
    let restored = Restored { tables, ..Restored::default() };
    restore.commit(&target.held, &[], &restored, Extent::Some).await.unwrap();
    let session = target.session().await;
    assert_eq!((session.state, session.restored), (SessionState::Running, Some(restored)));
}

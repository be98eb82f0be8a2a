//! The plan of a full sync, which tells what is in the way before any byte moves, and the progress
//! of a session as `status` shows it.

use syncline::engine::model::session::{CopyOptions, Direction};
use syncline::engine::plan::note::Weight;
use syncline::jobs::full_sync::FullSync;

use super::deployments::Deployments;
use super::terminal::{DOCS, Two};

/// The warnings of a plan.
async fn warnings(both: &Deployments, direction: Direction) -> Vec<String> {
    let session = both.session(direction, CopyOptions::default());
    let there = both.there.open_door().await;
    let job = FullSync { own: &both.here.own, peer: &there.peer, session: &session };
    let (plan, _) = job.plan().await.expect("the tables fit");
    let warnings = plan.notes.iter().filter(|note| note.weight == Weight::Warning);
    warnings.map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_plan_names_circles_that_nothing_can_defer_and_triggers_that_fire_twice() {
    let schema = "\
        create table hens (id int primary key, egg int not null);
        create table eggs (id int primary key, hen int not null references hens);
        alter table hens add foreign key (egg) references eggs;
        create table items (id int primary key, mark text);
        create function mark() returns trigger language plpgsql as $$begin return new; end$$;
        create trigger mark before insert on items for each row execute function mark()";
    let both = Deployments::with(schema).await;
    let own = "create trigger count before insert on items for each row execute function mark()";
    both.there.sql(own).await;
    let warnings = warnings(&both, Direction::Push).await;
    let [eggs, hens, items] =
        ["public.eggs", "public.hens", "public.items"].map(|table| format!("warning: {table}: "));
    let is_of = |table: &str, text: &str| {
        warnings.iter().any(|warning| warning.starts_with(table) && warning.contains(text))
    };
    assert!(is_of(&eggs, "foreign keys lead back"), "{warnings:?}");
    assert!(is_of(&hens, "foreign keys lead back"), "{warnings:?}");
    assert!(is_of(&items, "although the source's did so already"), "{warnings:?}");
    // That no table has a cursor column is nothing to whoever copies all rows.
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}

/// 1. A pull is completed, with a transfer and a restore that took ten seconds each.
/// 2. Another one has moved half of its bytes, at ten a second.
/// 3. The rest of its transfer takes five seconds, and its restore ten as that of the first one.
#[tokio::test]
async fn the_status_of_a_running_session_shows_its_speed_and_the_time_until_its_end() {
    let two = Two::with(DOCS, &[]).await;
    two.both.there.sql("insert into docs values (1, 'a')").await;
    two.run(&["pull", "there"]).await;
    two.both
        .here
        .sql(
            "update full_sync_sessions set bytes_total = 100, rows_total = 1, \
             phase_millis = '{\"transfer\": 10000, \"restore\": 10000}'; \
         insert into full_sync_sessions (session_id, peer, role, direction, method, phase, status, \
             options, lease_until, bytes_done, bytes_total, rows_done, rows_total, transfer_speed) \
         select repeat('a', 32), peer, role, direction, method, 'transfer', 'running', options, \
             clock_timestamp() + interval '1 hour', 50, 100, 0, 1, 10 from full_sync_sessions",
        )
        .await;
    let (code, out, errors) = two.run(&["status", "aaaa"]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains("In phase transfer: 0.0 MB of 0.0 MB, 0.0 MB/s, 5 s left; "), "{out}");
    assert!(out.contains("about 15 seconds until all is done."), "{out}");
    two.both.here.sql("delete from full_sync_sessions where status = 'completed'").await;
    let (_, out, _) = two.run(&["status", "aaaa"]).await;
    assert!(out.contains("the time until all is done is not known."), "{out}");
}

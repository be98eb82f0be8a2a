//! The plan of a full sync, which tells what is in the way before any byte moves.

use syncline::engine::model::session::{CopyOptions, Direction};
use syncline::engine::plan::note::Weight;
use syncline::jobs::full_sync::FullSync;

use super::deployments::Deployments;

/// The warnings of a plan.
async fn warnings(both: &Deployments, direction: Direction) -> Vec<String> {
    let session = both.session(direction, CopyOptions::default());
    let job = FullSync { own: &both.here.own, peer: &both.there.own, session: &session };
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

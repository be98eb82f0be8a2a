//! The steps that still hold, and the sentences on writers and variables.

use std::time::{Duration, SystemTime};

use super::ports::{CutoverRecord, NamedDatabase, OpenWriter, Step};
use super::{SourceState, SourceWrites, StepState, assignments};
use crate::engine::model::table::TableName;

const AT: SystemTime = SystemTime::UNIX_EPOCH;

fn state(digest: &str) -> SourceState {
    SourceState([(TableName::new("public", "items"), digest.to_owned())].into())
}

#[test]
fn a_step_holds_as_long_as_the_source_is_as_it_was() {
    let record = CutoverRecord::default().with(Step::Drain, AT, &state("a"));
    assert_eq!(record.step_state(Step::Drain, &state("a")), StepState::Holds(AT));
    assert_eq!(record.step_state(Step::Drain, &state("b")), StepState::Stale(AT));
    assert_eq!(record.step_state(Step::Verify, &state("a")), StepState::Open);
}

#[test]
fn what_comes_after_a_step_that_is_done_again_is_open_again() {
    let later = AT + Duration::from_secs(1);
    let all = Step::ALL.into_iter().fold(CutoverRecord::default(), |record, step| {
        assert_eq!(Step::named(step.name()), Some(step));
        record.with(step, AT, &state("a"))
    });
    let again = all.with(Step::Verify, later, &state("a"));
    assert_eq!(again.step_state(Step::Drain, &state("a")), StepState::Holds(AT));
    assert_eq!(again.step_state(Step::Verify, &state("a")), StepState::Holds(later));
    assert_eq!(again.step_state(Step::Sequences, &state("a")), StepState::Open);
    assert_eq!(again.step_state(Step::Switch, &state("a")), StepState::Open);
}

#[test]
fn a_table_that_came_or_went_has_changed() {
    let other = SourceState([(TableName::new("public", "more"), "a".to_owned())].into());
    assert_eq!(state("a").changed(&state("a")), []);
    assert_eq!(state("a").changed(&state("b")), [TableName::new("public", "items")]);
    assert_eq!(state("a").changed(&other).len(), 2);
    assert_ne!(state("a").digest(), state("b").digest());
}

#[test]
fn writers_are_named_with_what_stops_them() {
    let quiet = SourceWrites::default();
    assert!(quiet.is_quiet());
    let writer = |role: Option<&str>, application: &str| OpenWriter {
        role: role.map(str::to_owned),
        application: application.to_owned(),
        sessions: 1,
    };
    let writers = vec![writer(Some("web \"1\""), "puma"), writer(None, "")];
    let changed = vec![TableName::new("public", "items")];
    let watched = SourceWrites { writers, changed, ..quiet };
    assert_eq!(
        watched.sentence(),
        "The source is being written by web \"1\" (puma), a prepared transaction; \
         rows change: public.items"
    );
    assert!(watched.remedy().contains("alter role \"web \"\"1\"\"\" set"), "{}", watched.remedy());
}

#[test]
fn each_variable_gets_the_value_of_the_one_that_names_the_target() {
    let told = |source: &str, target: &str, is_project: bool| {
        let end = |name: &str, database: &str| NamedDatabase {
            name: name.into(),
            database: database.into(),
            is_project,
            key: None,
            authority: None,
        };
        let all = assignments(&end(source, "old:5432/app"), &end(target, "new:5432/app"));
        let told =
            all.iter().map(|assignment| format!("{}={}", assignment.name, assignment.value_of));
        told.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        told("SOURCE_DATABASE_URL", "TARGET_DATABASE_URL", false),
        "DATABASE_URL=TARGET_DATABASE_URL"
    );
    assert_eq!(
        told("SUPABASE_URL", "NEW_SUPABASE_URL", false),
        "DATABASE_URL=NEW_SUPABASE_URL",
        "a project's client takes no connection string"
    );
    assert_eq!(
        told("SUPABASE_URL", "NEW_SUPABASE_URL", true),
        "OLD_SUPABASE_URL=SUPABASE_URL SUPABASE_URL=NEW_SUPABASE_URL \
         SUPABASE_SERVICE_ROLE_KEY=NEW_SUPABASE_SERVICE_ROLE_KEY"
    );
    assert_eq!(
        told("OLD_SUPABASE_URL", "SUPABASE_URL", true),
        "SUPABASE_URL=SUPABASE_URL SUPABASE_SERVICE_ROLE_KEY=SUPABASE_SERVICE_ROLE_KEY"
    );
    assert_eq!(
        told("OLD_SUPABASE_URL", "NEW_SUPABASE_URL", true),
        "SUPABASE_URL=NEW_SUPABASE_URL SUPABASE_SERVICE_ROLE_KEY=NEW_SUPABASE_SERVICE_ROLE_KEY"
    );
}

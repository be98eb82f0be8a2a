//! The promises of `Target`.

use std::collections::BTreeSet;
use std::time::Duration;

use syncline::engine::model::checkpoint::Checkpoint;
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::page::Page;
use syncline::engine::model::range::RowKey;
use syncline::engine::model::run::Tally;
use syncline::engine::plan::window;
use syncline::engine::ports::{
    Attempt, Batch, Deletion, Ledger, Load, LoadPage, RetriedRows, Saved, Settled, Target,
};

use tokio::sync::mpsc;

use super::{PIPELINE, all_targets, checkpoint, run_id, scan};

fn key(id: i32) -> RowKey {
    RowKey::new(vec![id.to_string()])
}

const COUNT: &str = "select count(*)::text from items";

#[tokio::test]
async fn a_batch_is_saved_with_its_checkpoint_and_saving_it_again_changes_no_row() {
    for sides in all_targets().await {
        let run = run_id();
        let opened = sides.begin(&run).await;
        let first = sides.save_all(&opened, &run).await;
        assert_eq!(first.tally, Tally { inserted: 50, ..Tally::default() }, "{}", sides.name);
        let versions = "select string_agg(xmin::text, ',' order by id) from items";
        let before = sides.text_target(versions).await;

        let second = sides.save(&opened, &run, &sides.items).await;

        assert_eq!(second.tally, Tally { unchanged: 50, ..Tally::default() }, "{}", sides.name);
        assert_eq!(sides.text_target(versions).await, before, "{}", sides.name);
        let stored = sides.target.checkpoints(PIPELINE).await.unwrap();
        assert_eq!(stored.get(&sides.items.table), Some(&checkpoint(&sides.items)));
        sides.end(opened, &run).await;
    }
}

#[tokio::test]
async fn a_row_that_the_target_refuses_is_recorded_and_the_others_are_saved() {
    for sides in all_targets().await {
        let check = "alter table items add constraint no_13 check (v <> 13)";
        sides.at_target.batch_execute(check).await.unwrap();
        let run = run_id();
        let opened = sides.begin(&run).await;
        let saved = sides.save_all(&opened, &run).await;
        let expected = Tally { inserted: 49, rejected: 1, ..Tally::default() };
        assert_eq!((saved.tally, saved.rejects), (expected, 1), "{}", sides.name);
        let rejects = sides.target.rejects(PIPELINE, Some(&sides.items.table), 9).await.unwrap();
        let told: Vec<_> =
            rejects.iter().map(|reject| (&reject.key, reject.code.as_str())).collect();
        assert_eq!(told, [(&key(13), "23514")], "{}", sides.name);

        sides.at_target.batch_execute("alter table items drop constraint no_13").await.unwrap();
        let (page, keys) = (sides.all_rows(&sides.items).await, [key(13), key(999)]);
        let rows =
            RetriedRows { run: &run, shape: &sides.items, page: &page, keys: &keys, fresh: false };
        let retried = sides.target.retry(&opened.lease, &rows).await.unwrap();
        assert_eq!((retried.tally.inserted, retried.rejects), (1, 0), "{}", sides.name);
        assert_eq!(sides.text_target(COUNT).await, "50", "{}", sides.name);
        sides.end(opened, &run).await;
    }
}

#[tokio::test]
async fn an_attempt_saves_nothing_of_rows_without_parents_and_says_which_they_are() {
    for sides in all_targets().await {
        let run = run_id();
        let opened = sides.begin(&run).await;
        let (shape, page) = (&sides.items, &sides.all_rows(&sides.items).await);
        let checkpoint = &checkpoint(shape);
        let batch = Batch { run: &run, shape, page, checkpoint, fresh: true };

        let lacking = sides.target.attempt(&opened.lease, Attempt::Batch(&batch)).await.unwrap();

        let Saved::LackParents(orphans) = lacking else { panic!("{}: {lacking:?}", sides.name) };
        let told: Vec<_> =
            orphans.iter().map(|one| (&one.reference.parent, one.keys.len())).collect();
        assert_eq!(told, [(&sides.parents.table, 50)], "{}", sides.name);
        assert_eq!(sides.text_target(COUNT).await, "0", "{}", sides.name);
        assert!(sides.target.checkpoints(PIPELINE).await.unwrap().is_empty(), "{}", sides.name);

        sides.save(&opened, &run, &sides.parents).await;
        let saved = sides.target.attempt(&opened.lease, Attempt::Batch(&batch)).await.unwrap();
        let Saved::All(saved) = saved else { panic!("{}: {saved:?}", sides.name) };
        assert_eq!((saved.tally.inserted, saved.rejects), (50, 0), "{}", sides.name);
        sides.end(opened, &run).await;
    }
}

#[tokio::test]
async fn pages_that_are_loaded_together_are_saved_with_the_last_and_never_without_it() {
    for sides in all_targets().await {
        let run = run_id();
        let opened = sides.begin(&run).await;
        sides.save(&opened, &run, &sides.parents).await;
        let load = Load { run: &run, shape: &sides.items, time: Duration::from_secs(60) };
        for is_last in [false, true] {
            let (sender, pages) = mpsc::channel(1);
            let page = sides.all_rows(&sides.items).await;
            let checkpoint = checkpoint(&sides.items);
            sender.send(LoadPage { page, checkpoint, is_last }).await.unwrap();
            drop(sender);

            let loaded = sides.target.load(&opened.lease, &load, pages).await.unwrap();

            assert!(is_last || loaded.is_none(), "{}: {loaded:?}", sides.name);
            let inserted = loaded.map_or(0, |saved| saved.tally.inserted);
            assert_eq!(sides.text_target(COUNT).await, inserted.to_string(), "{}", sides.name);
            let stored = sides.target.checkpoints(PIPELINE).await.unwrap();
            let is_kept = stored.contains_key(&sides.items.table);
            assert_eq!(is_kept, inserted == 50, "{}", sides.name);
        }
        sides.end(opened, &run).await;
    }
}

#[tokio::test]
async fn a_load_holds_the_lease_for_its_whole_time_again_when_it_ends() {
    for sides in all_targets().await {
        let run = run_id();
        let opened = sides.begin(&run).await;
        sides.save(&opened, &run, &sides.parents).await;
        let shape = &sides.items;
        let load = Load { run: &run, shape, time: Duration::from_secs(60) };
        let first = sides.page(shape, &scan(), 25).await;
        let rest = window::after_page(&scan(), &first).unwrap();
        let last = sides.page(shape, &rest, 1_000).await;
        let (sender, pages) = mpsc::channel(1);
        let send = async {
            let page = LoadPage { page: first, checkpoint: checkpoint(shape), is_last: false };
            sender.send(page).await.ok()?;
            let permit = sender.reserve().await.ok()?;
            let later = sides.text_target("select clock_timestamp()::text").await;
            permit.send(LoadPage { page: last, checkpoint: checkpoint(shape), is_last: true });
            Some(later)
        };

        let (loaded, later) = tokio::join!(sides.target.load(&opened.lease, &load, pages), send);

        // Behind an API, a call has one page.
        assert_eq!(loaded.unwrap().is_some(), later.is_some(), "{}", sides.name);
        let Some(later) = later else { continue };
        let is_whole = format!(
            "select ((value ->> 'expires_at')::timestamptz \
                 >= timestamptz '{later}' + interval '1 min')::text \
             from sync_state where key = 'lease:main'"
        );
        assert_eq!(sides.text_target(&is_whole).await, "true", "{}", sides.name);
        sides.end(opened, &run).await;
    }
}

#[tokio::test]
async fn a_load_whose_pages_do_not_come_ends_with_its_time_and_saves_nothing() {
    for sides in all_targets().await {
        let run = run_id();
        let opened = sides.begin(&run).await;
        let load = Load { run: &run, shape: &sides.items, time: Duration::from_secs(1) };
        let (sender, pages) = mpsc::channel(1);
        let page = sides.all_rows(&sides.items).await;
        let checkpoint = checkpoint(&sides.items);
        sender.send(LoadPage { page, checkpoint, is_last: false }).await.unwrap();

        let loaded = sides.target.load(&opened.lease, &load, pages).await.unwrap();

        assert!(loaded.is_none(), "{}: {loaded:?}", sides.name);
        assert_eq!(sides.text_target(COUNT).await, "0", "{}", sides.name);
        sides.end(opened, &run).await;
    }
}

#[tokio::test]
async fn nothing_is_saved_under_a_lease_that_another_run_took_over() {
    for sides in all_targets().await {
        let (run, other) = (run_id(), run_id());
        let lease = sides.begin(&run).await.lease;
        sides.expire_lease().await;
        let holder = sides.begin(&other).await;
        let page = sides.all_rows(&sides.parents).await;
        let checkpoint = checkpoint(&sides.parents);
        let batch = Batch {
            run: &run,
            shape: &sides.parents,
            page: &page,
            checkpoint: &checkpoint,
            fresh: false,
        };
        let keys = [key(1)];
        let deletion = Deletion { run: &run, shape: &sides.parents, keys: &keys };
        let settled = Settled { table: &sides.parents.table, checkpoint: checkpoint.clone() };

        let faults = [
            sides.target.commit(&lease, &batch).await.unwrap_err(),
            sides.target.delete(&lease, &deletion).await.unwrap_err(),
            sides.target.settle(&lease, &[settled]).await.unwrap_err(),
            sides.target.reconciled(&lease, &sides.parents.table).await.unwrap_err(),
        ];

        assert!(faults.iter().all(|fault| fault.code == FaultCode::LeaseLost), "{faults:?}");
        assert_eq!(sides.text_target("select count(*)::text from parents").await, "0");
        assert!(sides.target.checkpoints(PIPELINE).await.unwrap().is_empty(), "{}", sides.name);
        sides.end(holder, &other).await;
    }
}

#[tokio::test]
async fn a_deletion_counts_what_went_and_names_what_the_target_keeps() {
    for sides in all_targets().await {
        let run = run_id();
        let opened = sides.begin(&run).await;
        sides.save_all(&opened, &run).await;
        let keys = [key(5), key(10), key(999)];
        let deletion = Deletion { run: &run, shape: &sides.items, keys: &keys };
        let deleted = sides.target.delete(&opened.lease, &deletion).await.unwrap();
        assert_eq!((deleted.rows, deleted.kept.len()), (2, 0), "{}", sides.name);

        let keys = [key(1), key(2)];
        sides.at_target.batch_execute("delete from items where parent = 2").await.unwrap();
        let deletion = Deletion { run: &run, shape: &sides.parents, keys: &keys };
        let deleted = sides.target.delete(&opened.lease, &deletion).await.unwrap();
        assert_eq!((deleted.rows, deleted.kept.len()), (1, 1), "{}", sides.name);
        assert_eq!(deleted.kept[0].key, key(1), "{}", sides.name);
        sides.end(opened, &run).await;
    }
}

#[tokio::test]
async fn settling_saves_checkpoints_without_rows_and_rows_are_copied_into_empty_tables_alone() {
    for sides in all_targets().await {
        let run = run_id();
        let opened = sides.begin(&run).await;
        sides.save(&opened, &run, &sides.parents).await;
        let tables = [sides.parents.table.clone(), sides.items.table.clone()];
        let copyable = sides.target.copyable(&tables).await.unwrap();
        // Over an API no table is copied into.
        let expected = BTreeSet::from([sides.items.table.clone()]);
        let expected = if sides.is_target_connected() { expected } else { BTreeSet::new() };
        assert_eq!(copyable, expected, "{}", sides.name);
        let settle = |checkpoint: &Checkpoint| Settled {
            table: &sides.items.table,
            checkpoint: checkpoint.clone(),
        };
        let settled = checkpoint(&sides.items);
        sides.target.settle(&opened.lease, &[settle(&settled)]).await.unwrap();
        let stored = sides.target.checkpoints(PIPELINE).await.unwrap();
        assert_eq!(stored.get(&sides.items.table), Some(&settled), "{}", sides.name);
        sides.end(opened, &run).await;
    }
}

#[tokio::test]
async fn a_page_without_rows_ends_a_scan_like_any_other() {
    for sides in all_targets().await {
        let run = run_id();
        let opened = sides.begin(&run).await;
        let (page, checkpoint) = (Page::empty(), checkpoint(&sides.items));
        let shape = &sides.items;
        let batch = Batch { run: &run, shape, page: &page, checkpoint: &checkpoint, fresh: true };
        let saved = sides.target.commit(&opened.lease, &batch).await.unwrap();
        assert_eq!((saved.tally, saved.rejects), (Tally::default(), 0), "{}", sides.name);
        let stored = sides.target.checkpoints(PIPELINE).await.unwrap();
        assert_eq!(stored.get(&shape.table), Some(&checkpoint), "{}", sides.name);
        sides.end(opened, &run).await;
    }
}

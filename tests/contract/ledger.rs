//! The promises of `Ledger`.

use std::time::{Duration, SystemTime};

use syncline::engine::model::delivery::{Chain, Delivery, QueueId};
use syncline::engine::model::notice::SentNotices;
use syncline::engine::model::range::RowKey;
use syncline::engine::model::run::Trigger;
use syncline::engine::ports::{Ledger, LostMessage, NoticeRecords, Opened};

use super::{PIPELINE, all_targets, run_id};

#[tokio::test]
async fn the_state_tables_are_made_by_one_of_many_calls_and_looking_makes_nothing() {
    for sides in all_targets().await {
        let made = "select (to_regclass('public.sync_state') is not null)::text";
        let before = sides.text_target(made).await;
        sides.target.check_schema().await.unwrap();
        sides.target.checkpoints(PIPELINE).await.unwrap();
        sides.target.records(PIPELINE).await.unwrap();
        assert_eq!(sides.text_target(made).await, before, "{}", sides.name);

        let prepare = || sides.target.prepare();
        let versions = tokio::join!(prepare(), prepare(), prepare());

        for version in [versions.0, versions.1, versions.2] {
            let version = version.unwrap();
            assert!(version.before <= version.now, "{}: {version:?}", sides.name);
        }
        assert_eq!(sides.text_target(made).await, "true", "{}", sides.name);
    }
}

#[tokio::test]
async fn of_two_calls_at_once_one_is_busy_and_a_lease_that_is_given_back_is_free() {
    for sides in all_targets().await {
        let chains = [Chain::new("one"), Chain::new("other")];
        let opened = tokio::join!(sides.open(&chains[0]), sides.open(&chains[1]));
        let opened = [opened.0, opened.1];
        let busy = opened.iter().filter(|opened| matches!(opened, Opened::Busy(_))).count();
        let runs = opened.iter().filter(|opened| matches!(opened, Opened::Run(_))).count();
        assert_eq!((busy, runs), (1, 1), "{}: {opened:?}", sides.name);
        let ([Opened::Busy(left), _] | [_, Opened::Busy(left)]) = opened else { unreachable!() };
        assert!(left <= Duration::from_secs(60), "{}: {left:?}", sides.name);
    }
    for sides in all_targets().await {
        let (run, next) = (run_id(), run_id());
        let opened = sides.begin(&run).await;
        sides.end(opened, &run).await;
        let opened = sides.begin(&next).await;
        sides.end(opened, &next).await;
    }
}

#[tokio::test]
async fn a_piece_of_work_that_was_done_before_is_finished_and_takes_no_lease() {
    for sides in all_targets().await {
        let run = run_id();
        let opened = sides.begin(&run).await;
        sides.end(opened, &run).await;
        let again = sides.open(&Chain::new(run.as_str())).await;
        let Opened::Finished(past) = again else { panic!("{}: {again:?}", sides.name) };
        assert_eq!((past.id, past.done), (run, true), "{}", sides.name);
        let free = run_id();
        let opened = sides.begin(&free).await;
        sides.end(opened, &free).await;
    }
}

#[tokio::test]
async fn a_run_that_lost_its_lease_leaves_the_new_holders_alone_when_it_closes() {
    for sides in all_targets().await {
        let (run, next) = (run_id(), run_id());
        let late = sides.begin(&run).await;
        sides.expire_lease().await;
        let holder = sides.begin(&next).await;
        assert!(holder.lease.fence() > late.lease.fence(), "{}", sides.name);

        sides.end(late, &run).await;

        let third = sides.open(&Chain::new("third")).await;
        assert!(matches!(third, Opened::Busy(_)), "{}: {third:?}", sides.name);
        sides.end(holder, &next).await;
    }
}

#[tokio::test]
async fn a_lost_message_is_recorded_once_however_often_it_is_told() {
    for sides in all_targets().await {
        let delivery =
            Delivery { message: QueueId::parse("msg_1").unwrap(), retried: 3, schedule: None };
        let chain = Chain::new("msg_1");
        let lost = LostMessage {
            pipeline: PIPELINE,
            trigger: Trigger::Scheduled,
            chain: &chain,
            delivery: &delivery,
            reason: "HTTP 503",
        };
        sides.target.record_lost(&lost).await.unwrap();
        sides.target.record_lost(&lost).await.unwrap();
        let count = "select count(*)::text from sync_metadata where sync_status = 'lost'";
        assert_eq!(sides.text_target(count).await, "1", "{}", sides.name);
    }
}

#[tokio::test]
async fn of_several_who_found_the_same_news_one_tells_them() {
    for sides in all_targets().await {
        sides.target.prepare().await.unwrap();
        assert_eq!(sides.target.notice_facts(PIPELINE).await.unwrap().sent, None, "{}", sides.name);
        let sent = SentNotices { failing: Some(SystemTime::UNIX_EPOCH), ..SentNotices::default() };
        let replace = || sides.target.replace_sent_notices(PIPELINE, None, Some(&sent));
        let told = tokio::join!(replace(), replace());
        let told = u8::from(told.0.unwrap()) + u8::from(told.1.unwrap());
        assert_eq!(told, 1, "{}", sides.name);
        let stored = sides.target.notice_facts(PIPELINE).await.unwrap().sent;
        assert_eq!(stored.as_ref(), Some(&sent), "{}", sides.name);
        assert!(
            sides.target.replace_sent_notices(PIPELINE, Some(&sent), None).await.unwrap(),
            "{}",
            sides.name
        );
    }
}

#[tokio::test]
async fn discarded_rows_are_counted_and_forgotten() {
    for sides in all_targets().await {
        let check = "alter table items add constraint few check (v > 2)";
        sides.at_target.batch_execute(check).await.unwrap();
        let run = run_id();
        let opened = sides.begin(&run).await;
        sides.save_all(&opened, &run).await;
        sides.end(opened, &run).await;
        let table = &sides.items.table;
        assert_eq!(sides.target.rejects(PIPELINE, Some(table), 1).await.unwrap().len(), 1);
        let keys = ["1", "999"].map(|id| RowKey::new(vec![id.to_owned()]));
        let discarded = sides.target.discard(PIPELINE, table, &keys).await.unwrap();
        assert_eq!(discarded, 1, "{}", sides.name);
        let left = sides.target.rejects(PIPELINE, None, 9).await.unwrap();
        let left: Vec<_> = left.iter().map(|reject| reject.key.values()[0].as_str()).collect();
        assert_eq!(left, ["2"], "{}", sides.name);
    }
}

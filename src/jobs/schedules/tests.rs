use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::engine::model::cron::Cron;
use crate::engine::model::delivery::Terms;
use crate::engine::model::fault_code::{FaultCode, Remedy};
use crate::engine::model::secret::SecretText;

const HOME: &str = "https://sync.example.com";
const SYNCS: &str = "https://sync.example.com/api/background/sync/";

fn planned(retries: u32) -> PlannedSchedule {
    PlannedSchedule {
        pipeline: "orders".to_owned(),
        id: QueueId::parse("syncline-orders").unwrap(),
        cron: Cron::parse("0 */6 * * *", "UTC").unwrap(),
        url: format!("{HOME}/api/background/sync/orders"),
        body: "{}".to_owned(),
        terms: Terms {
            retries,
            retry_delay: None,
            timeout: Duration::from_secs(30),
            failure_url: format!("{HOME}/api/background/sync/failure"),
            flow: "syncline-orders".to_owned(),
            label: "syncline-1".to_owned(),
        },
    }
}

/// A queue with one schedule, which it refuses to pause.
struct BrokenPause(Mutex<Option<QueueSchedule>>);

#[async_trait]
impl Schedules for BrokenPause {
    async fn list(&self) -> Result<Vec<QueueSchedule>, Fault> {
        Ok(self.0.lock().unwrap().iter().cloned().collect())
    }

    async fn find(&self, _id: &QueueId) -> Result<Option<QueueSchedule>, Fault> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn put(&self, planned: &PlannedSchedule) -> Result<(), Fault> {
        let PlannedSchedule { pipeline: _, id, cron, url, body, terms } = planned;
        *self.0.lock().unwrap() = Some(QueueSchedule {
            id: id.to_string(),
            cron: cron.to_string(),
            destination: url.clone(),
            method: "POST".to_owned(),
            body: Some(body.clone()),
            retries: Some(terms.retries),
            timeout: Some(terms.timeout),
            failure_url: Some(terms.failure_url.clone()),
            flow: Some(terms.flow.clone()),
            parallelism: Some(1),
            labels: vec![terms.label.clone()],
            ..QueueSchedule::default()
        });
        Ok(())
    }

    async fn pause(&self, _id: &QueueId) -> Result<(), Fault> {
        Err(Fault::new(Step::Queue, FaultCode::QstashUnavailable, "It is down", "wait"))
    }

    async fn resume(&self, _id: &QueueId) -> Result<(), Fault> {
        Ok(())
    }

    async fn delete(&self, _id: &QueueId) -> Result<(), Fault> {
        Ok(())
    }

    async fn signing_keys(&self) -> Result<[SecretText; 2], Fault> {
        Ok([SecretText::new("a"), SecretText::new("b")])
    }
}

#[tokio::test]
async fn a_pause_that_an_update_ends_and_cannot_restore_is_a_fault() {
    let queue = BrokenPause(Mutex::default());
    let all = [planned(2)];
    let manage = ManageSchedules { planned: &all, sync_url: SYNCS, schedules: &queue };
    assert!(manage.create(&all[0]).await.unwrap().is_new);
    queue.0.lock().unwrap().as_mut().unwrap().paused = true;

    let fault = manage.create(&planned(0)).await.unwrap_err();

    // A retry finds the schedule in order, and would not pause it.
    assert_eq!((fault.code, fault.remedy), (FaultCode::NotPaused, Remedy::Operator));
    assert!(fault.hint.ends_with("syncline schedule pause syncline-orders"), "{}", fault.hint);
    assert!(manage.create(&planned(0)).await.unwrap().differences.is_empty());
}

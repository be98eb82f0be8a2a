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

fn wanted(retries: u32) -> Wanted {
    Wanted {
        pipeline: "orders".to_owned(),
        id: ScheduleId::parse("syncline-orders").unwrap(),
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

/// A queue of one schedule that refuses to pause it.
struct Sleepless(Mutex<Option<Found>>);

#[async_trait]
impl Schedules for Sleepless {
    async fn list(&self) -> Result<Vec<Found>, Fault> {
        Ok(self.0.lock().unwrap().iter().cloned().collect())
    }

    async fn find(&self, _id: &ScheduleId) -> Result<Option<Found>, Fault> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn put(&self, wanted: &Wanted) -> Result<(), Fault> {
        let Wanted { pipeline: _, id, cron, url, body, terms } = wanted;
        *self.0.lock().unwrap() = Some(Found {
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
            ..Found::default()
        });
        Ok(())
    }

    async fn pause(&self, _id: &ScheduleId) -> Result<(), Fault> {
        Err(Fault::new(Step::Queue, FaultCode::QstashUnavailable, "It is down", "wait"))
    }

    async fn resume(&self, _id: &ScheduleId) -> Result<(), Fault> {
        Ok(())
    }

    async fn delete(&self, _id: &ScheduleId) -> Result<(), Fault> {
        Ok(())
    }

    async fn signing_keys(&self) -> Result<[SecretText; 2], Fault> {
        Ok([SecretText::new("a"), SecretText::new("b")])
    }
}

#[tokio::test]
async fn a_pause_that_an_update_took_away_and_cannot_restore_is_told() {
    let queue = Sleepless(Mutex::default());
    let all = [wanted(2)];
    let manage = ManageSchedules { wanted: &all, syncs: SYNCS, schedules: &queue };
    assert!(manage.create(&all[0]).await.unwrap().new);
    queue.0.lock().unwrap().as_mut().unwrap().paused = true;

    let fault = manage.create(&wanted(0)).await.unwrap_err();

    // A retry by itself would find the schedule in order, and say nothing.
    assert_eq!((fault.code, fault.remedy), (FaultCode::NotPaused, Remedy::Operator));
    assert!(fault.hint.ends_with("syncline schedule pause syncline-orders"), "{}", fault.hint);
    assert!(manage.create(&wanted(0)).await.unwrap().changed.is_empty());
}

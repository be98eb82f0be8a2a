//! The function is killed in the middle of a delivery: QStash's retry waits for the dead run's
//! lease, and finishes the job.

use std::sync::Arc;

use async_trait::async_trait;
use syncline::demo::qstash::{
    Attempt, Courier, DeliveryOutcome, HttpCourier, LocalQStash, Options,
};
use tokio_postgres::Client;

use crate::world::killable::Killable;
use crate::world::pair::{Pair, SYNC_PATH};
use crate::world::proxy::{Act, Proxy, Way};
use crate::world::qstash::queued::SIX_HOURS;
use crate::world::{cluster, connect};

/// Kills the function in its first delivery, in the middle of a page, and starts it again.
struct Killer {
    courier: HttpCourier,
    function: Arc<Killable>,
    proxy: Proxy,
    target: Client,
    target_url: String,
}

#[async_trait]
impl Courier for Killer {
    async fn deliver(&self, attempt: &Attempt) -> DeliveryOutcome {
        match attempt.retried {
            0 => tokio::select! {
                early = self.courier.deliver(attempt) => panic!("answered: {early:?}"),
                () = self.proxy.holds() => {
                    self.function.restart(&[("TARGET_DATABASE_URL", &self.target_url)]);
                    self.proxy.resume();
                    DeliveryOutcome::Failed { reason: "killed".to_owned() }
                }
            },
            1 => self.courier.deliver(attempt).await,
            _ => {
                // QStash's clock has waited for the lease; the database's has not.
                let over = "update sync_state set value = value || jsonb_build_object(\
                    'expires_at', clock_timestamp()) where key like 'lease:%'";
                self.target.batch_execute(over).await.expect("the target takes it");
                self.courier.deliver(attempt).await
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_function_is_killed_is_finished_by_its_retry() {
    let table = "create table items (id int primary key, name text, \
        updated_at timestamptz not null); create index on items (updated_at, id)";
    let pair = Pair::with(table).await.set("SYNC_PAGE_ROWS", "1000");
    let rows = "insert into items select i, repeat(md5(i::text), 4), \
        timestamptz '2026-01-01' + i * interval '1 s' from generate_series(1, 20000) i";
    pair.sql_source(rows).await;
    let port = cluster().port();
    let proxy = Proxy::before(port).await;
    proxy.after(Way::ToServer, 1_500_000, Act::Hold);
    let held = proxy.url(&pair.target.url, port);
    let credentials = LocalQStash::start(Options::default()).await.unwrap();
    let keys = (credentials.current_key(), credentials.next_key());
    let function = Arc::new(Killable::start(
        pair.settings(),
        &[
            ("TARGET_DATABASE_URL", &held),
            ("QSTASH_CURRENT_SIGNING_KEY", &keys.0),
            ("QSTASH_NEXT_SIGNING_KEY", &keys.1),
        ],
    ));
    let courier = Killer {
        courier: HttpCourier::new().unwrap(),
        function: Arc::clone(&function),
        proxy,
        target: connect(&pair.target.url).await.unwrap(),
        target_url: pair.target.url.clone(),
    };
    let options = Options { keys: Some(keys), ..Options::stepped(std::time::SystemTime::now()) };
    let qstash = LocalQStash::start(options.with_courier(Arc::new(courier))).await.unwrap();
    publish(&qstash, &function.url).await;

    qstash.advance(SIX_HOURS).await;

    assert!(qstash.dead_letters().is_empty() && qstash.pending() == 0);
    let history = "select string_agg(concat_ws(' ', sync_status, retried), ', ' order by id) \
        from sync_metadata";
    assert_eq!(pair.text_target(history).await, "interrupted 0, success 2");
    let answers: Vec<_> = qstash
        .logs()
        .into_iter()
        .filter_map(|entry| entry.response.map(|entry| entry.status))
        .collect();
    assert!(answers.contains(&429), "the first retry came before the lease's end: {answers:?}");
    assert_eq!(pair.recorded("public.items").await, (20_000, 0));
    pair.assert_closed().await;
    pair.assert_settled(&["items"]).await;
}

/// One message with the retries that a schedule has.
async fn publish(qstash: &LocalQStash, function: &str) {
    let url = format!("{}/v2/publish/{function}{}", qstash.url(), SYNC_PATH);
    let call = crate::world::door::client().post(url).bearer_auth(qstash.token());
    let answer = call.header("Upstash-Retries", "2").body("{}").send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

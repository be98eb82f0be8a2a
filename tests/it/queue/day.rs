//! A day of QStash's: ticks every ten minutes, of whose deliveries some are lost, some doubled, and
//! some killed in the middle of their run, while rows are written to the source all the time.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use reqwest::Method;
use serde_json::json;
use syncline::demo::qstash::{
    Attempt, Courier, DeliveryOutcome, HttpCourier, LocalQStash, Options,
};
use syncline::demo::random_key;
use syncline::edge::calling::SCHEDULE_PATH;
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::Client;

use crate::world::connect;
use crate::world::dice::{Dice, seed};
use crate::world::door::{client, status_and_json};
use crate::world::killable::Killable;
use crate::world::pair::{Pair, TOKEN};
use crate::world::tables::{ITEMS, fill};

/// The fate of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    AnswerLost,
    Doubled,
    Killed,
    Fine,
}

/// A hundred deliveries: 5 % lost, on one way or the other, 5 % doubled, 2 % killed.
const DECK: [(Fate, usize); 5] = [
    (Fate::Lost, 3),
    (Fate::AnswerLost, 2),
    (Fate::Doubled, 5),
    (Fate::Killed, 2),
    (Fate::Fine, 88),
];

/// A deck in the order that the dice decide.
fn shuffled(dice: &mut Dice) -> Vec<Fate> {
    let mut deck: Vec<Fate> =
        DECK.iter().flat_map(|(fate, count)| std::iter::repeat_n(*fate, *count)).collect();
    for at in (1..deck.len()).rev() {
        let other = usize::try_from(dice.roll(at as u64 + 1)).expect("a small number");
        deck.swap(at, other);
    }
    deck
}

/// Carries deliveries as a bad day does.
struct Rough {
    courier: HttpCourier,
    function: OnceCell<Arc<Killable>>,
    target: Client,
    deck: Mutex<(Dice, Vec<Fate>)>,
    counts: [AtomicU32; 5],
}

impl Rough {
    async fn fate(&self) -> Fate {
        let (dice, deck) = &mut *self.deck.lock().await;
        if deck.is_empty() {
            *deck = shuffled(dice);
        }
        let fate = deck.pop().expect("the deck was filled");
        self.counts[fate as usize].fetch_add(1, Ordering::Relaxed);
        fate
    }

    /// Kills the function while a run is under way, if the delivery begins one. The dead run's
    /// lease ends at once: QStash's clock has waited for it, the database's has not.
    async fn kill(&self, attempt: &Attempt) -> DeliveryOutcome {
        let under_way = async {
            let running = "select count(*) from sync_metadata where sync_status = 'running'";
            loop {
                let row = self.target.query_one(running, &[]).await;
                if row.is_ok_and(|row| row.get::<_, i64>(0) > 0) {
                    return;
                }
            }
        };
        tokio::select! {
            _ = self.courier.deliver(attempt) => {}
            () = under_way => {}
        }
        self.function.get().expect("it was started").restart(&[]);
        let over = "update sync_state set value = value || jsonb_build_object(\
            'expires_at', clock_timestamp()) where key like 'lease:%'";
        self.target.batch_execute(over).await.expect("the target takes it");
        DeliveryOutcome::Failed { reason: "killed".to_owned() }
    }

    fn count(&self, fate: Fate) -> u32 {
        self.counts[fate as usize].load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Courier for Rough {
    async fn deliver(&self, attempt: &Attempt) -> DeliveryOutcome {
        let lost = || DeliveryOutcome::Failed { reason: "lost".to_owned() };
        match self.fate().await {
            Fate::Fine => self.courier.deliver(attempt).await,
            Fate::Lost => lost(),
            Fate::AnswerLost => {
                self.courier.deliver(attempt).await;
                lost()
            }
            Fate::Doubled => {
                let both =
                    tokio::join!(self.courier.deliver(attempt), self.courier.deliver(attempt));
                both.1
            }
            Fate::Killed => self.kill(attempt).await,
        }
    }
}

/// Writes to the source until it is told to stop: new rows, changed rows, and transactions that
/// commit long after they took their stamps.
async fn write(url: String, first: i32, stop: Arc<AtomicBool>, mut dice: Dice) -> u32 {
    let source = connect(&url).await.expect("the source accepts us");
    let (mut next, mut written) = (first, 0);
    while !stop.load(Ordering::Relaxed) {
        source.batch_execute("begin").await.expect("it begins");
        for _ in 0..=dice.roll(3) {
            let sql = if dice.roll(3) == 0 {
                next += 2;
                format!("insert into items values ({next}, 'new', clock_timestamp())")
            } else {
                let id = dice.roll(3_000);
                format!(
                    "update items set name = name || '.', updated_at = clock_timestamp() \
                     where id = {id} and length(name) < 200"
                )
            };
            written += source.execute(&sql, &[]).await.map_or(0, |rows| rows as u32);
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(40))).await;
        source.batch_execute("commit").await.expect("it commits");
    }
    written
}

/// Two databases, with pages that take the target a moment each.
async fn pair() -> Pair {
    let pair = Pair::with(ITEMS)
        .await
        .set("SYNC_PAGE_ROWS", "100")
        .set("SYNC_BUDGET_SECONDS", "1")
        .set("SYNC_LEASE_SECONDS", "5")
        .set("SYNC_CRON", "*/10 * * * *");
    pair.sql_source(&fill("items", 3000)).await;
    pair.sql_target(
        "create function slow() returns trigger language plpgsql as \
         $$ begin perform pg_sleep(0.04); return null; end $$; \
         create trigger slow after insert on items execute function slow();",
    )
    .await;
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rough_day_ends_with_equal_databases() {
    let seed = seed();
    // Past the runner's capture: the seed is told whether the test passes or not.
    let _ = writeln!(std::io::stderr(), "a rough day: SYNCLINE_TEST_SEED={seed}");
    let pair = pair().await;
    let keys = (random_key(), random_key());
    let rough = Arc::new(Rough {
        courier: HttpCourier::new().unwrap(),
        function: OnceCell::new(),
        target: connect(&pair.target.url).await.unwrap(),
        deck: Mutex::new((Dice::new(seed), Vec::new())),
        counts: Default::default(),
    });
    let options = Options { keys: Some(keys.clone()), ..Options::stepped(SystemTime::now()) };
    let qstash = LocalQStash::start(options.with_courier(rough.clone())).await.unwrap();
    let function = Arc::new(Killable::start(
        pair.settings(),
        &[
            ("QSTASH_URL", &qstash.url()),
            ("QSTASH_TOKEN", qstash.token()),
            ("QSTASH_CURRENT_SIGNING_KEY", &keys.0),
            ("QSTASH_NEXT_SIGNING_KEY", &keys.1),
        ],
    ));
    let _ = rough.function.set(Arc::clone(&function));
    let create = client().request(Method::POST, format!("{}{SCHEDULE_PATH}", function.url));
    let create = create.bearer_auth(TOKEN).json(&json!({ "action": "create" }));
    assert_eq!(status_and_json(create.send().await.unwrap()).await.0, 200);

    let stop = Arc::new(AtomicBool::new(false));
    let writers = [4_001, 4_002].map(|first| {
        let dice = Dice::new(seed).other(first as u64);
        tokio::spawn(write(pair.source.url.clone(), first, Arc::clone(&stop), dice))
    });
    qstash.advance(Duration::from_secs(24 * 60 * 60)).await;
    stop.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    // Whatever becomes of one tick, a later one finds what is left.
    qstash.advance(Duration::from_secs(60 * 60)).await;

    for fate in [Fate::Lost, Fate::AnswerLost, Fate::Doubled, Fate::Killed] {
        assert!(rough.count(fate) > 0, "seed {seed}: nothing was {fate:?}");
    }
    assert!(written > 500, "seed {seed}: {written} rows written");
    let history = "select string_agg(trigger || ' ' || sync_status, ',') from sync_metadata";
    let history = pair.text_target(history).await;
    for expected in ["scheduled success", "scheduled interrupted", "continuation "] {
        assert!(history.contains(expected), "seed {seed}: no {expected} in {history}");
    }
    let compared = pair.compared(&["items"]).await;
    assert!(compared.iter().all(|table| table.equal), "seed {seed}: {compared:?}");
    pair.assert_closed().await;
    pair.assert_settled(&["items"]).await;
}

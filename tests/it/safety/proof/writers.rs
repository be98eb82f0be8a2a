//! Writers of the source: short transactions and long ones, rows that are made, changed, deleted,
//! given other keys, and values that change hands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::world::dice::Dice;
use crate::world::pair::Pair;

/// One step of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// A person, an order or a word is made, under a stamp of now or of the transaction's start.
    Insert,
    /// Somebody or something is changed.
    Update,
    /// Something is deleted, with what depends on it.
    Delete,
    /// A row is given another key.
    Rekey,
    /// Two people swap their addresses.
    Swap,
    /// One person's address is given to another, who is new.
    HandOver,
    /// Somebody gets another boss, a cycle among them now and then.
    Reorganise,
    /// A transaction stays open long after it took its stamps.
    Linger,
    /// A transaction is prepared and committed later.
    Prepare,
    /// A transaction is taken back.
    Abandon,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Rekey,
        Self::Swap,
        Self::HandOver,
        Self::Reorganise,
        Self::Linger,
        Self::Prepare,
        Self::Abandon,
    ];
}

/// The times that each deed was done in a transaction that was committed.
pub type Deeds = BTreeMap<Deed, u64>;

/// The number of writers at once.
const WRITERS: u64 = 4;

/// The time that a writer waits for a row that another has: they write the same rows on purpose.
const PATIENCE: &str = "set lock_timeout = '300ms'; set deadlock_timeout = '100ms'";

/// Writers at work.
pub struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Deeds>>,
}

impl Writers {
    /// They begin.
    pub async fn start(pair: &Pair, dice: &Dice) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for place in 0..WRITERS {
            let source = pair.writer().await;
            source.batch_execute(PATIENCE).await.expect("the source takes it");
            let writer = Writer { source, dice: dice.other(place), done: Deeds::new() };
            tasks.push(tokio::spawn(writer.work(Arc::clone(&stop))));
        }
        Self { stop, tasks }
    }

    /// They finish what they are doing; what they have done.
    pub async fn stop(self) -> Deeds {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Deeds::new();
        for task in self.tasks {
            for (deed, times) in task.await.expect("a writer ends well") {
                *all.entry(deed).or_insert(0) += times;
            }
        }
        all
    }
}

struct Writer {
    source: Client,
    dice: Dice,
    done: Deeds,
}

impl Writer {
    async fn work(mut self, stop: Arc<AtomicBool>) -> Deeds {
        while !stop.load(Ordering::Relaxed) {
            if let Err(error) = self.transaction().await {
                assert!(is_of_the_game(&error), "{error:?}");
                self.source.batch_execute("rollback").await.expect("it takes that back");
            }
            let pause = self.dice.roll(30);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.done
    }

    /// One transaction of some deeds, and what becomes of it.
    async fn transaction(&mut self) -> Result<(), tokio_postgres::Error> {
        self.source.batch_execute("begin").await?;
        let mut deeds = Vec::new();
        for _ in 0..=self.dice.roll(4) {
            let deed = Deed::ALL[self.dice.roll(7) as usize];
            let sql = self.sql(deed);
            self.source.batch_execute(&sql).await?;
            deeds.push(deed);
        }
        match self.dice.roll(20) {
            0 => {
                let open = 200 + self.dice.roll(3_000);
                tokio::time::sleep(Duration::from_millis(open)).await;
                self.source.batch_execute("commit").await?;
                deeds.push(Deed::Linger);
            }
            1 => {
                let name = format!("proof {}", self.dice.roll(u64::MAX));
                self.source.batch_execute(&format!("prepare transaction '{name}'")).await?;
                let open = self.dice.roll(1_000);
                tokio::time::sleep(Duration::from_millis(open)).await;
                self.source.batch_execute(&format!("commit prepared '{name}'")).await?;
                deeds.push(Deed::Prepare);
            }
            2 => {
                self.source.batch_execute("rollback").await?;
                deeds = vec![Deed::Abandon];
            }
            _ => self.source.batch_execute("commit").await?,
        }
        for deed in deeds {
            *self.done.entry(deed).or_insert(0) += 1;
        }
        Ok(())
    }

    fn sql(&mut self, deed: Deed) -> String {
        let (new, some, other) = (self.dice.roll(1 << 40), self.person(), self.person());
        let stamp = ["clock_timestamp()", "now()"][self.dice.roll(2) as usize];
        match deed {
            Deed::Insert => format!(
                "insert into people values ({new}, 'n{new}@example.com', {some}, {stamp}); \
                 insert into orders values (md5('{new}')::uuid, {new}, {new} / 3.0, {stamp}); \
                 insert into lines select md5('{new}')::uuid, i, 'new', \
                     case when i > 1 then {stamp} end from generate_series(1, {lines}) i; \
                 insert into words values ('new {new}', random(), '[1,  2]')",
                lines = 1 + new % 4,
            ),
            Deed::Update => format!(
                "update people set email = 'u{new}@example.com', updated_at = {stamp} \
                     where id = {some}; \
                 update orders set total = total + 1.10, changed = {stamp} \
                     where id = (select id from orders where id >= md5('{new}')::uuid \
                     order by id limit 1); \
                 update words set weight = -weight where word = 'word {word}'",
                word = 1 + new % 300,
            ),
            Deed::Delete => format!(
                "delete from lines where order_id in (select id from orders where person = {some}); \
                 delete from orders where person = {some}; \
                 update people set boss = null, updated_at = {stamp} where boss = {some}; \
                 delete from people where id = {some}; \
                 delete from words where word = 'new {new}' or word = 'word {word}'",
                word = 1 + new % 300,
            ),
            Deed::Rekey => format!(
                "update orders set person = {new}, changed = {stamp} where person = {some}; \
                 update people set boss = null, updated_at = {stamp} where boss = {some}; \
                 update people set id = {new}, updated_at = {stamp} where id = {some}; \
                 update orders set person = {other}, changed = {stamp} where person = {new} \
                     and not exists (select from people where id = {new})"
            ),
            Deed::Swap => format!(
                "create temporary table swapped on commit drop as \
                     select id, email from people where id in ({some}, {other}); \
                 update people set email = null where id in ({some}, {other}); \
                 update people p set email = (select email from swapped s where s.id <> p.id limit 1), \
                     updated_at = {stamp} where id in (select id from swapped); \
                 drop table swapped"
            ),
            Deed::HandOver => format!(
                "update people set email = null, updated_at = {stamp} \
                     where id = {some} and email is not null; \
                 insert into people select {new}, 'u{some}@example.org', null, {stamp} \
                     where not exists (select from people where email = 'u{some}@example.org')"
            ),
            Deed::Reorganise => format!(
                "update people set boss = (select id from people where id = {other}), \
                     updated_at = {stamp} where id in ({some}, {other})"
            ),
            Deed::Linger | Deed::Prepare | Deed::Abandon => unreachable!("no statements"),
        }
    }

    fn person(&mut self) -> u64 {
        1 + self.dice.roll(2_000)
    }
}

/// Writers get into each other's way, and break a rule now and then: the source refuses, and
/// nothing has happened.
fn is_of_the_game(error: &tokio_postgres::Error) -> bool {
    let known = [
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::UNIQUE_VIOLATION,
        &SqlState::FOREIGN_KEY_VIOLATION,
        &SqlState::FEATURE_NOT_SUPPORTED,
    ];
    error.code().is_some_and(|code| known.contains(&code))
}

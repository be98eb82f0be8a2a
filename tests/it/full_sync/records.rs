//! Pushes that go record by record: each batch is saved by itself, and each row has a verdict.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use syncline::adapters::peer::PeerDeployment;
use syncline::engine::model::budget::Budget;
use syncline::engine::model::fault::{Fault, Step};
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::manifest::{Compression, Manifest, PROTOCOL, Sha};
use syncline::engine::model::range::Side;
use syncline::engine::model::records::{BatchAddress, BatchAnswer, RecordsEnd};
use syncline::engine::model::session::{
    CopyOptions, Direction, Method, NewSession, Restored, Role, SessionId, SessionState,
};
use syncline::engine::model::table::TableName;
use syncline::jobs::full_sync::ports::{
    Deployment, Description, ExportTable, Finished, Hello, PartName, Standing,
};

use super::deployments::Deployments;

const SHOP: &str = "\
    create table businesses (id int primary key, name text not null unique);
    create table orders (
        id bigint generated always as identity primary key,
        business int not null references businesses, price numeric(10,2), note jsonb,
        total numeric(12,2) generated always as (price * 2) stored);
    create table folders (id int primary key, parent int references folders, name text);";

/// Most folders point to one with a greater key, which comes in a later batch.
const FILLED: &str = "\
    insert into businesses select n, 'b' || n from generate_series(1, 700) as n;
    insert into orders (business, price, note)
        select 1 + n % 700, n * 1.5, jsonb_build_object('n', n) from generate_series(1, 2600) as n;
    insert into folders select n, case when n < 1200 then n + 1 end, E'folder\\t' || n
        from generate_series(1, 1200) as n order by n desc;";

const TABLES: [&str; 3] = ["businesses", "orders", "folders"];

const ROWS: u64 = 700 + 2_600 + 1_200;

async fn filled() -> Deployments {
    let both = Deployments::with(SHOP).await;
    both.here.sql(FILLED).await;
    both
}

fn records(both: &Deployments) -> NewSession {
    let session = both.session(Direction::Push, CopyOptions::default());
    NewSession { method: Method::Records, ..session }
}

fn sums(restored: &Restored) -> (u64, u64, u64) {
    restored.tables.values().fold((0, 0, 0), |(inserted, updated, unchanged), table| {
        (inserted + table.inserted, updated + table.updated, unchanged + table.unchanged)
    })
}

#[tokio::test]
async fn a_session_that_goes_record_by_record_has_no_copy_to_restore() {
    let both = Deployments::with(SHOP).await;
    let session = NewSession { role: Role::Peer, ..records(&both) };
    let facts = both.here.own.describe(Side::Source, None).await.expect("facts").facts;
    let manifest = Manifest {
        protocol: PROTOCOL,
        database: facts.identity.clone(),
        export: "e".to_owned(),
        taken_at: 0,
        compression: Compression::None,
        facts,
        tables: vec![],
        frames: vec![],
        parts: vec![],
        sequences: vec![],
        keyless: vec![],
    };
    let manifest = Bytes::from(manifest.to_bytes());
    both.there.own.open(&session).await.expect("it is opened");
    both.there.own.put_manifest(&session.id, &manifest).await.expect("it is kept");
    let sha = Sha::of(&manifest);
    let restored = both.there.own.restore(&session.id, &sha, &Budget::UNLIMITED);
    assert_eq!(restored.await.expect_err("there is no copy").code, FaultCode::BadCopy);
    let known = both.there.own.session(&session.id).await.expect("it is known");
    assert!(!known.state.is_over(), "{:?}", known.state);
}

#[tokio::test]
async fn all_rows_arrive_in_batches_whatever_they_point_to() {
    let both = filled().await;
    let session = records(&both);
    let restored = both.drive(&session).await.expect("it is pushed");
    assert_eq!((sums(&restored), restored.refused_in_all), ((ROWS, 0, 0), 0));
    both.assert_equal(&TABLES).await;
    for side in [&both.here, &both.there] {
        let known = side.own.session(&session.id).await.expect("a record");
        assert_eq!(known.state, SessionState::Completed);
        assert_eq!(known.restored.as_ref().map(sums), Some((ROWS, 0, 0)));
    }
    // The sequence goes on behind the keys.
    both.there.sql("insert into orders (business, price) values (1, 1)").await;
    both.here.sql("update orders set price = 0 where id <= 10").await;
    let versions = both.there.versions("folders").await;
    let again = both.drive(&records(&both)).await.expect("it is pushed again");
    assert_eq!(sums(&again), (0, 10, ROWS - 10));
    assert_eq!(both.there.versions("folders").await, versions, "equal rows are not written");
}

#[tokio::test]
async fn rejected_rows_are_named_and_all_others_are_saved() {
    let both = filled().await;
    both.there.sql("alter table orders add constraint odd check (id not in (17, 1234))").await;
    let session = records(&both);
    let fault = both.drive(&session).await.expect_err("two rows are rejected");
    assert_eq!(fault.code, FaultCode::RowsRefused);
    let told = "2 rows of public.orders; the other 4498 are saved";
    assert!(fault.message.contains(told), "{}", fault.message);
    let known = both.here.own.session(&session.id).await.expect("a record");
    assert_eq!(known.state, SessionState::Interrupted);
    let restored = known.restored.expect("an outcome");
    let keys: Vec<&str> = restored.refused.iter().map(|row| row.key[0].as_str()).collect();
    assert_eq!((keys, restored.refused_in_all), (vec!["17", "1234"], 2));
    assert!(restored.refused.iter().all(|row| row.code == "23514" && row.reason.contains("odd")));
    assert_eq!(both.there.text("select count(*)::text from orders").await, "2598");
    both.there.sql("alter table orders drop constraint odd").await;
    let restored = both.drive(&session).await.expect("it is resumed");
    assert_eq!((sums(&restored), restored.refused.len()), ((ROWS, 0, 0), 0));
    both.assert_equal(&TABLES).await;
}

#[tokio::test]
async fn rows_without_their_parent_are_rejected_at_the_end() {
    let both = filled().await;
    both.there.sql("alter table businesses add constraint none check (id <> 5)").await;
    let fault = both.drive(&records(&both)).await.expect_err("rows are rejected");
    assert!(fault.message.contains("rows of public.businesses, public.orders"), "{fault}");
    let orders = "select count(*)::text from orders where business = 5";
    let lacking = both.here.text(orders).await;
    let saved = "select (select count(*) from businesses) + (select count(*) from orders)";
    let saved = both.there.text(&format!("select ({saved})::text")).await;
    let lacking: u64 = lacking.parse().expect("a number");
    assert_eq!(saved, (700 - 1 + 2_600 - lacking).to_string());
}

#[tokio::test]
async fn a_row_that_no_call_can_carry_is_rejected_and_the_others_are_saved() {
    let both = Deployments::with("create table docs (id int primary key, body text)").await;
    let rows = "insert into docs select n, case when n = 3 then repeat('x', 5000000) else 'x' end \
        from generate_series(1, 5) as n";
    both.here.sql(rows).await;
    let session = records(&both);
    both.drive(&session).await.expect_err("one row is too large");
    let restored = both.here.own.session(&session.id).await.expect("a record").restored;
    let refused = restored.expect("an outcome").refused;
    assert_eq!((refused.len(), refused[0].key[0].as_str()), (1, "3"));
    assert!(refused[0].reason.contains("and a call carries"), "{}", refused[0].reason);
    assert_eq!(both.there.text("select count(*)::text from docs").await, "4");
}

#[tokio::test]
async fn an_answer_that_is_lost_counts_no_row_twice_and_none_as_unchanged() {
    let both = filled().await;
    let session = records(&both);
    let there = both.there.open_door().await;
    let peer = Unreliable::new(&there.peer, Flaw::LosesEachAnswerOnce);
    let mut losses = 0;
    let restored = loop {
        match both.drive_with(&peer, &session).await {
            Ok(restored) => break restored,
            Err(fault) if fault.code == FaultCode::PeerUnreachable => losses += 1,
            Err(fault) => panic!("{fault}"),
        }
    };
    assert!(losses > 8, "{losses} answers of nine batches were lost");
    assert_eq!(sums(&restored), (ROWS, 0, 0));
    both.assert_equal(&TABLES).await;
}

#[tokio::test]
async fn an_answer_without_a_verdict_for_each_row_is_not_believed() {
    for flaw in [Flaw::LacksAVerdict, Flaw::CountsARowTooMany] {
        let both = filled().await;
        let session = records(&both);
        let there = both.there.open_door().await;
        let peer = Unreliable::new(&there.peer, flaw);
        let fault = both.drive_with(&peer, &session).await.expect_err("it is not believed");
        assert_eq!(fault.code, FaultCode::BadCopy, "{fault}");
        let known = both.here.own.session(&session.id).await.expect("a record");
        assert_eq!((known.state, known.progress.rows), (SessionState::Interrupted, 0));
    }
}

#[tokio::test]
async fn what_one_transaction_promises_is_not_promised_record_by_record() {
    let both = filled().await;
    let pull = NewSession { direction: Direction::Pull, ..records(&both) };
    let verify = CopyOptions { verify: true, ..CopyOptions::default() };
    let verified = NewSession { options: verify, ..records(&both) };
    for session in [pull, verified] {
        let fault = both.drive(&session).await.expect_err("it cannot be done");
        assert_eq!(fault.code, FaultCode::BadAction, "{fault}");
    }
}

/// A defect of a peer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    LosesEachAnswerOnce,
    LacksAVerdict,
    CountsARowTooMany,
    /// Each call for a restore is cut while the work goes on; the first one has a minute for it.
    CutsRestores,
    /// It is of a release that knows no rows in binary.
    KnowsTextAlone,
}

/// A peer that does what it is asked, and has a defect or an age.
pub struct Unreliable<'a> {
    peer: &'a PeerDeployment,
    flaw: Flaw,
    /// The batch whose answer was lost last.
    lost: Mutex<Option<u64>>,
}

impl<'a> Unreliable<'a> {
    pub fn new(peer: &'a PeerDeployment, flaw: Flaw) -> Self {
        Self { peer, flaw, lost: Mutex::default() }
    }
}

#[async_trait]
impl Deployment for Unreliable<'_> {
    async fn batch(&self, batch: &BatchAddress, rows: Bytes) -> Result<BatchAnswer, Fault> {
        let mut answer = self.peer.batch(batch, rows).await?;
        match self.flaw {
            Flaw::LosesEachAnswerOnce => {
                let mut lost = self.lost.lock().expect("nobody panicked");
                if lost.replace(batch.number) != Some(batch.number) {
                    let (code, message) = (FaultCode::PeerUnreachable, "The answer is lost");
                    return Err(Fault::new(Step::Peer, code, message, "send it again"));
                }
            }
            Flaw::LacksAVerdict => drop(answer.verdicts.pop()),
            Flaw::CountsARowTooMany => answer.saved.inserted += 1,
            Flaw::KnowsTextAlone | Flaw::CutsRestores => {}
        }
        Ok(answer)
    }

    async fn end_records(&self, end: &RecordsEnd) -> Result<(), Fault> {
        self.peer.end_records(end).await
    }

    async fn hello(&self) -> Result<Hello, Fault> {
        let hello = self.peer.hello().await?;
        let knows_binary = self.flaw != Flaw::KnowsTextAlone;
        Ok(Hello { knows_binary, ..hello })
    }

    async fn describe(
        &self,
        side: Side,
        tables: Option<&[TableName]>,
    ) -> Result<Description, Fault> {
        self.peer.describe(side, tables).await
    }

    async fn open(&self, session: &NewSession) -> Result<(), Fault> {
        self.peer.open(session).await
    }

    async fn export(&self, session: &SessionId, tables: &[ExportTable]) -> Result<Finished, Fault> {
        self.peer.export(session, tables).await
    }

    async fn standing(&self, session: &SessionId) -> Result<Standing, Fault> {
        self.peer.standing(session).await
    }

    async fn manifest(&self, session: &SessionId) -> Result<Bytes, Fault> {
        self.peer.manifest(session).await
    }

    async fn put_manifest(&self, session: &SessionId, manifest: &Bytes) -> Result<(), Fault> {
        self.peer.put_manifest(session, manifest).await
    }

    async fn part(&self, session: &SessionId, part: &PartName<'_>) -> Result<Bytes, Fault> {
        self.peer.part(session, part).await
    }

    async fn put_part(
        &self,
        session: &SessionId,
        part: &PartName<'_>,
        bytes: Bytes,
    ) -> Result<(), Fault> {
        self.peer.put_part(session, part, bytes).await
    }

    async fn restore(
        &self,
        session: &SessionId,
        manifest: &Sha,
        budget: &Budget,
    ) -> Result<Finished, Fault> {
        if self.flaw != Flaw::CutsRestores {
            return self.peer.restore(session, manifest, budget).await;
        }
        let is_first = self.lost.lock().expect("nobody panicked").replace(0).is_none();
        let minute = Budget::until(SystemTime::now() + Duration::from_secs(60));
        let budget = if is_first { minute } else { Budget::UNLIMITED };
        let _the_record_tells_it = self.peer.restore(session, manifest, &budget).await;
        Ok(Finished::UnderWay)
    }

    async fn end(&self, session: &SessionId, end: SessionState) -> Result<(), Fault> {
        self.peer.end(session, end).await
    }
}

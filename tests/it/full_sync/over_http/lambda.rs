//! A peer that is a function under the Lambda Runtime API: its limits of size and of time.

use std::sync::Arc;
use std::time::Duration;

use syncline::adapters::peer::PeerDeployment;
use syncline::engine::model::budget::Budget;
use syncline::engine::model::fault::Fault;
use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::session::{CopyOptions, Direction, NewSession, Role, SessionState};
use syncline::jobs::full_sync::ports::Deployment as _;
use syncline::jobs::full_sync::{FullSync, SliceOutcome};
use tokio_postgres::Client;

use crate::full_sync::deployments::{Deployed, Deployments, peer_at};
use crate::full_sync::double::KEY;
use crate::world::door::Port;
use crate::world::lambda::function::Function;
use crate::world::lambda::function_url::FunctionUrl;
use crate::world::{cluster, connect};

/// Two parts and more, of rows that cannot be compressed.
const FILLED: &str = "\
    insert into items select m, string_agg(md5((m * 7919 + n)::text), ''), now() \
    from generate_series(1, 300) as m, generate_series(1, 1000) as n group by m";

const ITEMS: &str = "create table items (id int primary key, name text, \
    updated_at timestamptz not null)";

/// This deployment, and a peer that is a function.
struct Hosted {
    here: Deployed,
    peer: PeerDeployment,
    function: Arc<Function>,
    there: Client,
    _url: FunctionUrl,
}

impl Hosted {
    /// Starts the function with this timeout of each invocation.
    async fn with(timeout: Duration) -> Self {
        let port = Port::free().await;
        let peer = peer_at(&port.url);
        let set = [
            ("APP_URL", port.url.as_str()),
            ("SYNC_REGISTRATION_KEY", KEY),
            ("SYNC_PEER_MAY", "both"),
        ];
        let function = Arc::new(Function::start(0, &set).await);
        let there = connect(&function.target.url).await.expect("a connection");
        let _url = FunctionUrl::serve(port, Arc::clone(&function), timeout);
        Self { here: Deployed::on(cluster(), ITEMS).await, peer, function, there, _url }
    }

    fn session(direction: Direction) -> NewSession {
        let options = CopyOptions { compress: false, ..CopyOptions::default() };
        Deployments::new_session(direction, options)
    }

    async fn drive(&self, session: &NewSession) -> Result<SliceOutcome, Fault> {
        let job = FullSync { own: &self.here.own, peer: &self.peer, session };
        job.run(&Budget::UNLIMITED).await
    }

    /// The state of a session at the function, in its own tables.
    async fn state_there(&self, session: &NewSession) -> SessionState {
        self.peer.standing(&session.id).await.expect("it is known there").state
    }
}

#[tokio::test]
async fn parts_pass_through_a_function_in_both_directions() {
    let hosted = Hosted::with(Duration::from_secs(60)).await;
    hosted.here.sql(FILLED).await;
    let count = "select count(*) || ' ' || sum(length(name)) from items";
    let expected = hosted.here.text(count).await;
    hosted.drive(&Hosted::session(Direction::Push)).await.expect("events take a part");
    let row = hosted.there.query_one(count, &[]).await.expect("the rows are counted");
    assert_eq!(row.get::<_, String>(0), expected);
    hosted.here.sql("truncate items").await;
    hosted.drive(&Hosted::session(Direction::Pull)).await.expect("answers give a part");
    assert_eq!(hosted.here.text(count).await, expected);
}

/// Has the function's restore go on and on: each row waits for longer than an invocation lasts.
const SLOW: &str = "create function slow() returns trigger language plpgsql as \
        $$ begin perform pg_catalog.pg_sleep(12); return new; end $$; \
    create trigger slow before insert on items for each row execute function slow(); \
    alter table items enable always trigger slow";

/// 1. The work at the function goes on and on: rows are slow, or the table is locked.
/// 2. Lambda would freeze it in the middle of its transaction, with its locks.
/// 3. So it is ended before that, the session is free, and the answer says what to do.
#[tokio::test]
async fn work_that_outlives_its_invocation_is_undone_and_its_session_is_free() {
    for direction in [Direction::Push, Direction::Pull] {
        let timeout = if direction == Direction::Push { 10 } else { 4 };
        let hosted = Hosted::with(Duration::from_secs(timeout)).await;
        hosted.here.sql("insert into items values (1, 'x', now())").await;
        let session = Hosted::session(direction);
        let tables = vec![syncline::engine::model::call::ExportTable {
            table: syncline::engine::model::table::TableName::new("public", "items"),
            columns: vec!["id".to_owned()],
            filter: None,
            encoding: syncline::engine::model::page::Encoding::Text,
        }];
        let fault = match direction {
            Direction::Push => {
                hosted.there.batch_execute(SLOW).await.expect("a trigger");
                hosted.drive(&session).await.map(drop)
            }
            Direction::Pull => {
                let answering = NewSession { role: Role::Peer, ..session.clone() };
                hosted.peer.open(&answering).await.expect("it is opened");
                hosted.there.batch_execute("begin; lock table items").await.expect("a lock");
                hosted.peer.export(&session.id, &tables).await.map(drop)
            }
        };
        let fault = fault.expect_err("the work does not fit");
        assert_eq!(fault.code, FaultCode::NoTime, "{direction:?}: {fault}");
        assert!(fault.hint.contains("--per-table"), "{}", fault.hint);
        assert_eq!(hosted.state_there(&session).await, SessionState::Interrupted);
        let undo = match direction {
            Direction::Push => "drop trigger slow on items",
            Direction::Pull => "rollback",
        };
        let rows = hosted.there.query_one("select count(*) from items", &[]).await;
        assert_eq!(rows.expect("they are counted").get::<_, i64>(0), 0, "nothing is saved");
        hosted.there.batch_execute(undo).await.expect("the server has undone the work");
        if direction == Direction::Push {
            hosted.drive(&session).await.expect("it is resumed");
        }
        drop(hosted.function);
    }
}

//! The encoding in which the rows of a copy travel.

use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::manifest::Manifest;
use syncline::engine::model::page::Encoding;
use syncline::engine::model::session::{CopyOptions, Direction};
use syncline::jobs::full_sync::ports::Deployment as _;

use crate::full_sync::deployments::Deployments;
use crate::full_sync::records::{Flaw, Unreliable};

const SCHEMA: &str = "\
    create type mood as enum ('sad', 'glad');
    create table moods (id int primary key, mood mood);
    create table plain (id int primary key, body text, price numeric, at timestamptz);";

const FILLED: &str = "\
    insert into moods select n, 'glad' from generate_series(1, 50) as n;
    insert into plain select n, E'tab\\t line\\n', n / 7.0, now() from generate_series(1, 5000) as n";

/// 1. A row is rejected, so the copy stays in both spools.
/// 2. Its manifest says in which encoding the rows of each table travelled.
/// 3. The session is resumed.
async fn encodings(direction: Direction, flaw: Flaw) -> Vec<Encoding> {
    let both = Deployments::with(SCHEMA).await;
    let (from, to) = match direction {
        Direction::Pull => (&both.there, &both.here),
        Direction::Push => (&both.here, &both.there),
    };
    from.sql(FILLED).await;
    to.sql("alter table plain add constraint few check (id < 5000)").await;
    let there = both.there.open_door().await;
    let peer = Unreliable::new(&there.peer, flaw);
    let session = both.session(direction, CopyOptions::default());
    let fault = both.drive_with(&peer, &session).await.expect_err("a row is rejected");
    assert_eq!(fault.code, FaultCode::RowsRefused, "{fault}");
    assert!(fault.message.contains("1 row of public.plain"), "{fault}");
    let manifest = to.own.manifest(&session.id).await.expect("a copy");
    let manifest = Manifest::from_bytes(&manifest).expect("a manifest");
    to.sql("alter table plain drop constraint few").await;
    both.drive_with(&peer, &session).await.expect("it is resumed");
    both.assert_equal(&["moods", "plain"]).await;
    manifest.tables.iter().map(|table| table.encoding).collect()
}

#[tokio::test]
async fn rows_travel_in_binary_where_both_sides_have_the_same_types() {
    for direction in [Direction::Pull, Direction::Push] {
        let encodings = encodings(direction, Flaw::CountsARowTooMany).await;
        assert_eq!(encodings, [Encoding::Text, Encoding::Binary], "{direction:?}");
    }
}

#[tokio::test]
async fn rows_travel_as_text_to_and_from_a_peer_of_an_older_release() {
    for direction in [Direction::Pull, Direction::Push] {
        let encodings = encodings(direction, Flaw::KnowsTextAlone).await;
        assert_eq!(encodings, [Encoding::Text, Encoding::Text], "{direction:?}");
    }
}

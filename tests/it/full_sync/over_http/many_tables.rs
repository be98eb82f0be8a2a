//! A full sync of so many wide tables that its descriptions have more bytes than Lambda takes.

use syncline::engine::model::range::Side;
use syncline::engine::model::session::{CopyOptions, Direction};
use syncline::jobs::full_sync::ports::Deployment;

use crate::full_sync::deployments::{Deployments, peer_at};
use crate::full_sync::doors::Doors;

/// The bytes of a body that Lambda takes.
const LIMIT: usize = 6 << 20;

/// 45 tables of 1,000 columns with long names.
const WIDE: &str = "\
    do $$ begin for t in 1..45 loop execute format('create table wide_%s (id int primary key, %s)', t, \
        (select string_agg(format('a_column_with_a_name_of_fifty_characters_or_so_%s text', c), ', ') \
         from generate_series(1, 1000) as c)); end loop; end $$";

#[tokio::test]
async fn tables_whose_manifest_is_larger_than_a_request_are_pushed_and_pulled() {
    let doors = Doors::of(Deployments::with(WIDE).await).await;
    let both = &doors.both;
    let peer = peer_at(&doors.there_url);
    both.here.sql("insert into wide_7 (id) select n from generate_series(1, 9) as n").await;
    both.there.sql("insert into wide_8 (id) select n from generate_series(1, 9) as n").await;
    let facts = peer.describe(Side::Source, None).await.expect("they are described").facts;
    let length = serde_json::to_vec(&facts).expect("JSON").len();
    assert!(length > LIMIT, "{length} bytes");
    for direction in [Direction::Push, Direction::Pull] {
        let session = both.session(direction, CopyOptions::default());
        both.drive_with(&peer, &session).await.expect("it is copied");
    }
    both.assert_equal(&["wide_7", "wide_8"]).await;
}

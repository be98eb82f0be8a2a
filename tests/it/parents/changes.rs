//! Rows that wait for a parent, and change at the source before the run ends.

use syncline::engine::model::range::Side;

use crate::world::connect;
use crate::world::over_api::connects_to;
use crate::world::pair::Pair;

const TABLES: &str = "create table parents (id int primary key); \
    create table children (id int primary key, parent int, updated_at timestamptz not null); \
    create table zoo (id int primary key, updated_at timestamptz not null);";

const POINTS: &str = "alter table children add foreign key (parent) references parents;";

/// Children by the thousand, those from the second on without a parent.
const CHILDREN: &str = "insert into parents values (1), (2); \
    insert into children select i, case i when 1 then 1 else i + 100000 end, '2026-01-01' \
        from generate_series(1, 7000) i; \
    insert into zoo values (1, '2026-01-01')";

/// A row that is gone, one that points to a parent of the target, one whose parent appeared, one
/// that points to a parent that the target lacks, and one that points nowhere.
const CHANGES: &str = "delete from children where id = 6001; \
    update children set parent = 1 where id = 6002; \
    insert into parents values (106003); \
    update children set parent = 2 where id = 6004; \
    update children set parent = null where id = 6005";

#[tokio::test]
async fn what_changes_while_it_waits_for_a_parent_is_right_at_the_end_of_the_run() {
    if !connects_to(Side::Target, "a lock in the way of a page") {
        return;
    }
    let pair =
        Pair::of(TABLES, &format!("{TABLES}{POINTS}")).await.set("SYNC_TABLES", "children,zoo");
    pair.sql_source(CHILDREN).await;
    // The second table is not written before the source has changed.
    let holder = connect(&pair.target.url).await.expect("the target accepts us");
    let lock = "begin; lock table zoo in exclusive mode";
    holder.batch_execute(lock).await.expect("the target takes it");
    let change = async {
        let waits = "select count(*)::text from pg_locks \
            where not granted and relation = 'public.zoo'::regclass";
        while pair.text_target(waits).await == "0" {}
        pair.sql_source(CHANGES).await;
        holder.batch_execute("rollback").await.expect("the target takes it");
    };

    let (is_success, ()) = tokio::join!(pair.sync_moving(), change);

    assert!(is_success);
    let children = "select string_agg(id || ' ' || coalesce(parent::text, '-'), ', ' order by id) from children";
    let expected = "1 1, 6002 1, 6003 106003, 6004 2, 6005 -";
    assert_eq!(pair.text_target(children).await, expected);
    let rejects = "select count(*)::text from sync_rejects";
    assert_eq!(pair.text_target(rejects).await, "6994");
}

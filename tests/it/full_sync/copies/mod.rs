//! Whole copies from one deployment to another.

mod encodings;

use syncline::engine::model::fault_code::FaultCode;
use syncline::engine::model::session::{CopyOptions, Direction, Restored, SessionState};
use syncline::engine::model::table::TableName;

use super::deployments::Deployments;

const SHOP: &str = "\
    create table businesses (id int primary key, name text not null unique, updated_at timestamptz);
    create table orders (
        id bigint generated always as identity primary key,
        business int not null references businesses,
        price numeric(10,2), tags text[], note jsonb,
        total numeric(12,2) generated always as (price * 2) stored);
    create table folders (id int primary key, parent int references folders, name text);";

const FILLED: &str = "\
    insert into businesses select n, 'b' || n, now() from generate_series(1, 300) as n;
    insert into orders (business, price, tags, note)
        select 1 + n % 300, n * 1.5, array['a', null, 'b\\'], jsonb_build_object('n', n)
        from generate_series(1, 5000) as n;
    insert into folders select n, nullif(n / 2, 0), E'folder\\t' || n from generate_series(1, 999) as n;";

const TABLES: [&str; 3] = ["businesses", "orders", "folders"];

fn rows(restored: &Restored) -> (u64, u64, u64) {
    restored.tables.values().fold((0, 0, 0), |(inserted, updated, unchanged), table| {
        (inserted + table.inserted, updated + table.updated, unchanged + table.unchanged)
    })
}

#[tokio::test]
async fn a_pull_and_a_push_copy_every_row_of_all_tables() {
    for direction in [Direction::Pull, Direction::Push] {
        let both = Deployments::with(SHOP).await;
        let from = if direction == Direction::Pull { &both.there } else { &both.here };
        from.sql(FILLED).await;
        let session = both.session(direction, CopyOptions::default());
        let restored = both.drive(&session).await.expect("it is copied");
        assert_eq!(rows(&restored), (6_299, 0, 0));
        both.assert_equal(&TABLES).await;
        let to = if direction == Direction::Pull { &both.here } else { &both.there };
        to.sql("insert into orders (business, price) values (1, 1)").await;
        for side in [&both.here, &both.there] {
            let known = side.own.session(&session.id).await.expect("a record");
            assert_eq!(known.state, SessionState::Completed);
            let rows = known.restored.as_ref().map(rows);
            assert!(rows == Some((6_299, 0, 0)) || direction == Direction::Pull, "{rows:?}");
            assert_eq!(side.text("select count(*)::text from full_sync_parts").await, "0");
        }
    }
}

#[tokio::test]
async fn a_second_copy_writes_no_row_and_what_only_the_target_has_stays() {
    let both = Deployments::with(SHOP).await;
    both.there.sql(FILLED).await;
    both.pull().await.expect("it is copied");
    both.here.sql("insert into businesses values (1000, 'only here', null)").await;
    let before = both.here.versions("orders").await;
    let restored = both.pull().await.expect("it is copied again");
    assert_eq!(rows(&restored), (0, 0, 6_299));
    assert_eq!(both.here.versions("orders").await, before);
    both.there.sql("update orders set price = 0 where id <= 10").await;
    assert_eq!(rows(&both.pull().await.expect("once more")), (0, 10, 6_289));
    assert_eq!(both.here.text("select count(*)::text from businesses").await, "301");
}

#[tokio::test]
async fn no_frame_is_read_if_all_tables_are_equal_already() {
    let both = Deployments::with(
        "create table docs (id int primary key, body text); create table empty (id int primary key)",
    )
    .await;
    let filled = "insert into docs select m, string_agg(md5((m * 7919 + n)::text), '') \
        from generate_series(1, 120) as m, generate_series(1, 3200) as n group by m";
    both.there.sql(filled).await;
    both.pull().await.expect("it is copied");
    // Whoever reads the second part finds that it is spoiled.
    let spoil = "create function spoil() returns trigger language plpgsql as \
            $$ begin new.bytes := ''; return new; end $$; \
        create trigger spoil before insert on full_sync_parts for each row \
            when (new.part = 1) execute function spoil()";
    both.here.sql(spoil).await;
    let options = CopyOptions { compress: false, verify: true, ..CopyOptions::default() };
    let session = || both.session(Direction::Pull, options.clone());
    let restored = both.drive(&session()).await.expect("it is copied");
    assert_eq!((rows(&restored), restored.verified), ((0, 0, 120), 120));

    for change in ["update docs set body = 'x' where id = 1", "delete from docs where id = 1"] {
        both.here.sql(change).await;
        let fault = both.drive(&session()).await.expect_err("the frames are read");
        assert_eq!(fault.code, FaultCode::BadCopy, "{change}");
    }
}

/// The row of `c` is equal when the copy begins, and a cascade of the rows of `p` changes it.
#[tokio::test]
async fn an_equal_table_that_a_cascade_changes_is_put_right() {
    let both = Deployments::with(
        "create table p (id int primary key, code text not null unique); \
         create table c (id int primary key, code text references p (code) on update cascade)",
    )
    .await;
    both.there.sql("insert into p values (1, 'B'), (2, 'A'); insert into c values (10, 'A')").await;
    both.here.sql("insert into p values (1, 'A'); insert into c values (10, 'A')").await;
    both.pull().await.expect("it is copied");
    both.assert_equal(&["p", "c"]).await;
}

#[tokio::test]
async fn one_refused_row_keeps_all_others_out_and_is_named() {
    let both = Deployments::with(SHOP).await;
    both.there.sql(FILLED).await;
    both.here.sql("alter table orders add check (id <> 4321 and id <> 17)").await;
    let session = both.session(Direction::Pull, CopyOptions::default());
    let fault = both.drive(&session).await.expect_err("two rows are refused");
    assert_eq!(fault.code, FaultCode::RowsRefused);
    assert!(fault.message.contains("2 rows of public.orders"), "{}", fault.message);
    let known = both.here.own.session(&session.id).await.expect("a record");
    let refused = known.restored.expect("the refused rows").refused;
    let keys: Vec<&str> = refused.iter().map(|row| row.key[0].as_str()).collect();
    assert_eq!(keys, ["17", "4321"]);
    assert_eq!(refused[0].code, "23514");
    for table in TABLES {
        assert!(both.here.rows(table).await.starts_with("0 "), "{table}");
    }
    both.here.sql("alter table orders drop constraint orders_id_check").await;
    assert_eq!(rows(&both.drive(&session).await.expect("it is resumed")), (6_299, 0, 0));
}

#[tokio::test]
async fn tables_that_differ_are_named_before_a_row_is_read() {
    for direction in [Direction::Pull, Direction::Push] {
        let both = Deployments::with(SHOP).await;
        let (from, to) = match direction {
            Direction::Pull => (&both.there, &both.here),
            Direction::Push => (&both.here, &both.there),
        };
        from.sql(FILLED).await;
        from.sql("create table extra (id int primary key)").await;
        let other = "alter table orders drop column note; \
            alter table folders alter name type varchar(5)";
        to.sql(other).await;
        let session = both.session(direction, CopyOptions::default());
        let fault = both.drive(&session).await.expect_err("the tables differ");
        assert_eq!(fault.code, FaultCode::PlanProblem);
        for word in
            ["public.orders: the column note", "public.folders: the column name", "public.extra"]
        {
            assert!(fault.message.contains(word), "{direction:?}: {}", fault.message);
        }
        for side in [from, to] {
            let parts = "select count(*)::text from full_sync_parts";
            assert_eq!(side.text(parts).await, "0", "{direction:?}: no row is read");
        }
    }
}

#[tokio::test]
async fn conditions_leave_demo_data_out() {
    let both = Deployments::with(SHOP).await;
    both.there.sql(FILLED).await;
    let orders = TableName::new("public", "orders");
    let options = CopyOptions {
        filters: [(orders, "price < 150 and business <> 7".to_owned())].into(),
        verify: true,
        compress: false,
        ..CopyOptions::default()
    };
    let restored = both.drive(&both.session(Direction::Push, options.clone())).await;
    assert_eq!(restored.expect("nothing is here").verified, 0);
    let restored = both.drive(&both.session(Direction::Pull, options)).await.expect("it fits");
    assert_eq!(restored.verified, 300 + 98 + 999);
    assert_eq!(both.here.text("select count(*)::text from orders").await, "98");
}

#[tokio::test]
async fn a_condition_cannot_run_a_function_or_a_query_on_the_peer() {
    let both = Deployments::with(SHOP).await;
    for condition in ["pg_sleep(1) is null", "exists (select from businesses)"] {
        let filters = [(TableName::new("public", "orders"), condition.to_owned())].into();
        let options = CopyOptions { filters, ..CopyOptions::default() };
        let fault = both.drive(&both.session(Direction::Pull, options)).await;
        assert_eq!(fault.expect_err("it is refused").code, FaultCode::BadAction, "{condition}");
    }
}

#[tokio::test]
async fn a_verification_finds_rows_that_a_trigger_rewrites_and_undoes_all() {
    let both = Deployments::with(SHOP).await;
    both.there.sql(FILLED).await;
    both.here
        .sql(
            "create function stamp() returns trigger language plpgsql as \
             $$begin new.updated_at := clock_timestamp(); return new; end$$; \
             create trigger stamp before insert or update on businesses \
             for each row execute function stamp()",
        )
        .await;
    let options = CopyOptions { verify: true, ..CopyOptions::default() };
    let fault = both.drive(&both.session(Direction::Pull, options)).await;
    let fault = fault.expect_err("rows are rewritten");
    assert_eq!(fault.code, FaultCode::Unequal);
    assert!(fault.message.contains("300 rows of public.businesses"), "{}", fault.message);
    assert!(both.here.rows("orders").await.starts_with("0 "));
}

#[tokio::test]
async fn rows_that_point_at_each_other_go_in_whatever_their_order() {
    let schema = "\
        create table users (id int primary key, team int);
        create table teams (id int primary key, owner int not null references users);
        alter table users add foreign key (team) references teams;
        create table nodes (id int primary key, up int not null references nodes deferrable);
        create table tree (id int primary key, parent int references tree, filler text);";
    let both = Deployments::with(schema).await;
    both.there
        .sql(
            "insert into users select n, null from generate_series(1, 500) as n; \
             insert into teams select n, n from generate_series(1, 500) as n; \
             update users set team = id; \
             begin; set constraints all deferred; \
             insert into nodes select n, 1 + n % 500 from generate_series(1, 500) as n; commit; \
             insert into tree select n, null, repeat(md5(n::text), 40) from generate_series(1, 20000) as n; \
             update tree set parent = 20001 - id where id < 10001",
        )
        .await;
    let restored = both.pull().await.expect("all go in");
    assert_eq!(rows(&restored), (21_500, 0, 0));
    both.assert_equal(&["users", "teams", "nodes", "tree"]).await;
}

#[tokio::test]
async fn a_row_of_twenty_megabytes_and_many_parts_arrive_whole() {
    let schema = "create table docs (id int primary key, body text)";
    let both = Deployments::with(schema).await;
    both.there
        .sql(
            "insert into docs select 1, string_agg(md5(n::text), '') from generate_series(1, 655360) as n; \
             insert into docs select 1 + m, string_agg(md5((m * n)::text), '') \
                 from generate_series(1, 30) as m, generate_series(1, 20000) as n group by m",
        )
        .await;
    let options = CopyOptions { compress: false, ..CopyOptions::default() };
    both.drive(&both.session(Direction::Push, options)).await.expect("nothing is here yet");
    both.pull().await.expect("it is copied");
    both.assert_equal(&["docs"]).await;
}

#[tokio::test]
async fn a_sequence_of_the_target_goes_on_behind_the_copied_keys() {
    let both = Deployments::with(SHOP).await;
    both.there.sql(FILLED).await;
    both.pull().await.expect("it is copied");
    both.here.sql("insert into orders (business, price) values (1, 1)").await;
    assert_eq!(both.here.text("select max(id)::text from orders").await, "5001");
}

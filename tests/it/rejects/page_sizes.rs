//! Pages that are too large for a side: a statement that takes too long, or is in somebody's way,
//! is tried again with fewer rows.

use crate::world::pair::Pair;
use crate::world::tables::ITEMS;

const ROWS: &str = "insert into items select i, 'x', now() from generate_series(1, 2000) i";

/// Refuses with a code what writes more than so many rows in one statement.
fn refusing(code: &str, most: u32) -> String {
    format!(
        "create function too_many() returns trigger language plpgsql as $$ begin \
             if (select count(*) from written) > {most} \
             then raise exception 'too many' using errcode = '{code}'; end if; \
             return null; end $$; \
         create trigger too_many_new after insert on items referencing new table as written \
             for each statement execute function too_many(); \
         create trigger too_many_changed after update on items referencing new table as written \
             for each statement execute function too_many();"
    )
}

#[tokio::test]
async fn rows_that_the_target_takes_too_long_to_write_at_once_go_in_bit_by_bit() {
    for code in ["57014", "40001", "40P01"] {
        let pair = Pair::of(ITEMS, &format!("{ITEMS}{}", refusing(code, 100))).await;
        pair.sql_source(ROWS).await;
        let loaded = pair.sync().await.success();
        pair.sql_source("update items set name = 'y', updated_at = now()").await;
        let changed = pair.sync().await.success();
        assert_eq!(loaded.rows("public.items"), [2000, 0, 0], "{code}");
        assert_eq!(changed.rows("public.items"), [0, 2000, 0], "{code}");
        assert_eq!(pair.recorded("public.items").await, (2000, 2000), "{code}");
        pair.assert_settled(&["items"]).await;
    }
}

/// A condition that ends the statement at the row after so many; looks, which have another
/// isolation, pass. The count is one of the transaction, since the source is not written.
fn impatient(code: &str, most: u32) -> String {
    format!(
        "create function passes(id int) returns boolean language plpgsql as $$ \
         declare seen int := coalesce(nullif(current_setting('tests.seen', true), ''), '0')::int + 1; \
         begin \
             if current_setting('transaction_isolation') = 'repeatable read' then \
                 perform set_config('tests.seen', seen::text, true); \
                 if seen > {most} then raise exception 'too long' using errcode = '{code}'; end if; \
             end if; \
             return true; end $$; "
    )
}

#[tokio::test]
async fn rows_that_the_source_takes_too_long_to_read_at_once_are_read_bit_by_bit() {
    for code in ["57014", "40001"] {
        let pair = Pair::of(&format!("{}{ITEMS}", impatient(code, 100)), ITEMS).await;
        let pair = pair.rules("name = \"items\"\nwhere = \"public.passes(id)\"");
        pair.sql_source(ROWS).await;
        let answer = pair.sync_with(&[("SYNC_TABLES", "items")]).await.success();
        assert_eq!(answer.rows("public.items"), [2000, 0, 0], "{code}");
        pair.assert_equal(&["items"]).await;
    }
}

#[tokio::test]
async fn a_row_that_takes_too_long_alone_is_told_and_other_tables_go_on() {
    let more = "create table more (id int primary key, updated_at timestamptz not null);";
    let pair =
        Pair::of(&format!("{ITEMS}{more}"), &format!("{ITEMS}{more}{}", refusing("57014", 0)))
            .await;
    pair.sql_source(&format!("{ROWS}; insert into more values (1, now())")).await;

    let answer = pair.sync().await;

    assert_eq!((answer.status, answer.error().0.as_str()), (503, "statement_timeout"));
    assert_eq!(answer.rows("public.more"), [1, 0, 0]);
    assert_eq!(pair.text_target("select count(*)::text from items").await, "0");
    pair.sql_target("drop trigger too_many_new on items").await;
    pair.sync().await.success();
    pair.assert_settled(&["items", "more"]).await;
}

//! Unique values that a whole list hands on, however long it is.

use crate::world::pair::Pair;

const LIST: &str = "create table cards (id int primary key, list int not null, pos int not null, \
    updated_at timestamptz not null, unique (list, pos));";

/// Each card moves on by one, and a new one takes the first place.
const SHIFT: &str = "alter table cards drop constraint cards_list_pos_key; \
    update cards set pos = pos + 1, updated_at = '2026-02-01'; \
    alter table cards add unique (list, pos); \
    insert into cards values (0, 1, 1, '2026-02-01')";

async fn shifted(cards: u32) -> Pair {
    let pair = Pair::with(LIST).await;
    pair.sql_source(&format!(
        "insert into cards select i, 1, i, '2026-01-01' from generate_series(1, {cards}) i"
    ))
    .await;
    pair.sync().await.success();
    pair.sql_source(SHIFT).await;
    pair
}

#[tokio::test]
async fn a_list_of_thousands_that_moves_on_by_one_goes_in_whole() {
    let pair = shifted(4000).await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.cards"), [1, 4000, 0], "{}", answer.body);
    assert_eq!(answer.body["statistics"]["rejected"].as_u64().unwrap_or(0), 0);
    pair.assert_settled(&["cards"]).await;
}

#[tokio::test]
async fn a_list_that_does_not_fit_a_page_comes_right_at_the_end_of_the_run() {
    let pair = shifted(1500).await.set("SYNC_PAGE_ROWS", "400");
    let answer = pair.sync().await.success();
    assert_eq!(&answer.rows("public.cards")[..2], [1, 1500], "{}", answer.body);
    pair.assert_settled(&["cards"]).await;
}

#[tokio::test]
async fn a_list_whose_rows_hand_on_values_up_and_down_goes_in_too() {
    let pair = Pair::with(LIST).await;
    pair.sql_source(
        "insert into cards select i, 1, i, '2026-01-01' from generate_series(1, 400) i",
    )
    .await;
    pair.sync().await.success();
    // The last card becomes the first, and two cards of the middle change places.
    pair.sql_source(
        "alter table cards drop constraint cards_list_pos_key; \
         update cards set pos = pos % 400 + 1, updated_at = '2026-02-01'; \
         update cards set pos = 403 - pos where pos in (201, 202); \
         alter table cards add unique (list, pos)",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.rows("public.cards")[..2], [0, 400], "{}", answer.body);
    pair.assert_settled(&["cards"]).await;
}

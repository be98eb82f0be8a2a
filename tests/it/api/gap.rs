//! Files into a project behind its API: what a trial tells, and where it ends.

use serde_json::Value;

use crate::world::folder::{Folder, counts};
use crate::world::over_api::OverApi;
use crate::world::pair::Pair;

const TABLES: &str = "create table people (id int primary key, name text not null unique); \
    create table orders (id int primary key, person int not null references people, note text)";

#[tokio::test]
async fn a_trial_over_an_api_tells_what_the_import_will_do() {
    let pair = Pair::with(TABLES).await.over_api(OverApi::Target).await.set("SYNC_PAGE_ROWS", "3");
    pair.sql_target("insert into people values (1, 'here'), (2, 'old')").await;
    let folder = Folder::new()
        .with("people.csv", "id,name\n1,here\n2,new\n3,c\n4,d\n5,here\n")
        .with("orders.csv", "id,person,note\n1,3,a\n2,9,b\n3,1,c\n4,x,d\n5,4,e\n");
    let all = |said: &Value| ["public.people", "public.orders"].map(|table| counts(said, table));

    let (code, trial) = folder.import(&pair, &["--dry-run"]);

    assert_eq!((code, all(&trial)), (4, [[2, 1, 1, 1], [3, 0, 0, 2]]), "{trial}");
    let left = "select (select string_agg(name, ' ' order by id) from people) || \
        (select count(*) from orders) || (select count(*) from sync_rejects)";
    assert_eq!(pair.text_target(left).await, "here old00", "a trial leaves nothing");
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!((code, all(&said)), (4, all(&trial)), "{said}");
    assert_eq!(pair.text_target(left).await, "here new c d33");
}

#[tokio::test]
async fn more_than_some_pages_are_not_tried_over_an_api() {
    let pair = Pair::with("create table notes (id int primary key, body text)").await;
    let pair = pair.over_api(OverApi::Target).await;
    let row = |id: u32| format!("{id},{id}{}\n", "a line of a long name ".repeat(50_000));
    let rows: String = (1..=17).map(row).collect();
    let folder = Folder::new().with("notes.csv", format!("id,body\n{rows}"));
    let (code, trial) = folder.import(&pair, &["--dry-run"]);
    assert_ne!(code, 0);
    assert!(trial.to_string().contains("no_trial"), "{trial}");
    assert_eq!(pair.text_target("select count(*)::text from notes").await, "0");
}

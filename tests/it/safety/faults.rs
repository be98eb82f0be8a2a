//! Databases that cannot be reached, prove nothing or permit too little: each is refused in words
//! that help, and none of them shows a password.

use crate::world::pair::{Answer, Pair};
use crate::world::proxy::Proxy;
use crate::world::{cluster, role};

const TABLES: &str = "create table items (id int primary key, updated_at timestamptz not null); \
    create table more (id int primary key, updated_at timestamptz not null);";
const ROWS: &str = "insert into items values (1, now()); insert into more values (1, now())";
const SIDES: [(&str, &str); 2] =
    [("SOURCE_DATABASE_URL", "connect_source"), ("TARGET_DATABASE_URL", "connect_target")];

async fn pair() -> Pair {
    let pair = Pair::with(TABLES).await;
    pair.sql_source(ROWS).await;
    pair
}

impl Answer {
    /// A fault of one side, and whether a retry may help.
    pub fn refused(&self, status: u16, code: &str, step: &str) {
        let error = &self.body["error"];
        assert_eq!((self.status, self.error().0.as_str()), (status, code), "{}", self.body);
        assert_eq!((&error["step"], &error["retry"]), (&step.into(), &(status == 503).into()));
        let never = self.headers.contains_key("upstash-nonretryable-error");
        assert_eq!(never, status == 489, "{:?}", self.headers);
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{}", self.body);
    }

    /// The table left out, in the answer's words.
    pub fn left_out(&self, table: &str, because: &str) {
        let found = self.body["error"]["table"].as_str();
        assert_eq!((self.status, found), (489, Some(table)), "{}", self.body);
        assert!(self.error().1.contains(because), "{}", self.body);
    }
}

#[tokio::test]
async fn a_host_that_nobody_answers_for_is_tried_again() {
    let pair = pair().await;
    for (side, step) in SIDES {
        let answer = pair.sync_with(&[(side, "postgres://x:a-secret@127.0.0.1:1/x")]).await;
        answer.refused(503, "unreachable", step);
        assert!(!answer.body.to_string().contains("a-secret"), "{}", answer.body);
    }
    pair.sync().await.success();
    pair.assert_settled(&["items", "more"]).await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_never_repeated() {
    let pair = pair().await;
    for (side, step) in SIDES {
        let url = pair.settings()[side].replace(cluster().password(), "not-the-password");
        let answer = pair.sync_with(&[(side, &url)]).await;
        answer.refused(489, "login_refused", step);
        assert!(!answer.body.to_string().contains("not-the-password"), "{}", answer.body);
    }
    let history = pair.text_target("select string_agg(m::text, ' ') from sync_metadata m").await;
    assert!(history.contains("Cannot reach the source"), "{history}");
    assert!(!history.contains("not-the-password"), "{history}");
}

#[tokio::test]
async fn an_unknown_database_is_refused() {
    let pair = pair().await;
    for (side, step) in SIDES {
        let answer = pair.sync_with(&[(side, &cluster().url("nowhere"))]).await;
        answer.refused(489, "no_database", step);
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_required() {
    let pair = pair().await;
    for (side, step) in SIDES {
        for mode in ["require", "verify-ca", "verify-full"] {
            let url = format!("{}?sslmode={mode}", pair.settings()[side]);
            pair.sync_with(&[(side, &url)]).await.refused(489, "tls_refused", step);
        }
    }
}

#[tokio::test]
async fn a_database_is_not_synced_with_itself_whatever_its_url() {
    let pair = pair().await;
    let port = cluster().port();
    let proxied = Proxy::before(port).await.url(&pair.target.url, port);
    let answer = pair.sync_with(&[("SOURCE_DATABASE_URL", &proxied)]).await;
    answer.refused(489, "same_database", "plan");
    let created = "select count(*)::text from pg_class where relname like 'sync%'";
    assert_eq!(pair.text_target(created).await, "0");
}

#[tokio::test]
async fn a_table_that_the_sources_role_may_not_read_is_named_and_the_others_go_on() {
    let pair = pair().await;
    let url = role(&pair.source.url, "grant select on items to ROLE").await;
    let answer = pair.sync_with(&[("SOURCE_DATABASE_URL", &url)]).await;
    answer.left_out("public.more", "the source's role may not read it");
    assert_eq!(answer.rows("public.items"), [1, 0, 0]);
}

#[tokio::test]
async fn a_table_that_the_targets_role_may_not_write_is_named_and_the_others_go_on() {
    let pair = pair().await;
    let grants = "grant create on schema public to ROLE; grant select on more to ROLE; \
        grant select, insert, update on items to ROLE";
    let url = role(&pair.target.url, grants).await;
    let answer = pair.sync_with(&[("TARGET_DATABASE_URL", &url)]).await;
    answer.left_out("public.more", "the target's role may not read and write it");
    assert_eq!(answer.rows("public.items"), [1, 0, 0]);
}

#[tokio::test]
async fn a_role_that_may_not_create_the_state_tables_is_told_so() {
    let pair = pair().await;
    let url = role(&pair.target.url, "grant select, insert, update on items, more to ROLE").await;
    let answer = pair.sync_with(&[("TARGET_DATABASE_URL", &url)]).await;
    answer.refused(489, "no_privilege", "state");
    assert!(answer.error().1.contains("schema public"), "{}", answer.body);
}

#[tokio::test]
async fn a_table_whose_rows_are_hidden_from_the_role_is_refused() {
    let pair = pair().await;
    pair.sql_source(
        "insert into items values (2, now()); alter table items enable row level security; \
        create policy one on items using (id = 1)",
    )
    .await;
    let url = role(&pair.source.url, "grant select on items, more to ROLE").await;
    let answer = pair.sync_with(&[("SOURCE_DATABASE_URL", &url)]).await;
    answer.left_out("public.items", "row-level security hides rows");
    assert_eq!(answer.rows("public.more"), [1, 0, 0]);
    assert_eq!(pair.text_target("select count(*)::text from items").await, "0");
}

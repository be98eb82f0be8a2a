//! Sections 4, 6 and 7 of what was observed or read: keys, roles, rights and times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::Project;
use crate::world::door::client;
use crate::world::postgrest::{Options, Standin};
use crate::world::{connect, fresh_database};

#[tokio::test]
async fn keys_of_both_kinds_open_and_others_do_not() {
    let project = Project::new().await;
    let (service, anon) = (project.standin.service_key(), project.standin.anon_key());
    let (secret, publishable) = (project.standin.secret_key(), project.standin.publishable_key());
    let key = |key: &str| format!("apikey: {key}");
    let bearer = |key: &str| format!("authorization: Bearer {key}");
    let cases: [(Vec<String>, u16); 13] = [
        (vec![], 401),
        (vec![key("nonsense")], 401),
        (vec![bearer(service)], 401),
        (vec![key(service)], 200),
        (vec![key(service), bearer(service)], 200),
        (vec![key(anon), bearer(service)], 200),
        (vec![key(secret)], 200),
        (vec![key(secret), bearer(secret)], 200),
        (vec![key(secret), bearer(publishable)], 401),
        (vec![key(secret), "user-agent: Mozilla/5.0".to_owned()], 401),
        // Nobody granted the table to anon.
        (vec![key(publishable)], 401),
        (vec![key(anon), bearer(anon)], 401),
        (vec![key(service), bearer("not.a-token")], 401),
    ];
    for (headers, status) in cases {
        let lines: Vec<&str> = headers.iter().map(String::as_str).collect();
        let told = project.try_ask("GET /rest/v1/books", &lines).await.unwrap();
        assert_eq!(told.status, status, "{headers:?}: {told:?}");
    }
    let in_query = format!("GET /rest/v1/books?apikey={secret}");
    assert_eq!(project.try_ask(&in_query, &[]).await.unwrap().status, 200);
    let root = project.try_ask("GET /rest/v1/", &[&key(publishable)]).await.unwrap();
    assert_eq!(
        (root.status, &root.json()["message"]),
        (403, &json!("Access to schema is forbidden"))
    );
}

#[tokio::test]
async fn a_token_is_judged_by_its_signature_its_times_and_its_role() {
    let project = Project::new().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let cases = [
        (project.standin.token(&json!({ "role": "service_role" })), 200, ""),
        (project.standin.token(&json!({ "role": "service_role", "exp": now - 20 })), 200, ""),
        (
            project.standin.token(&json!({ "role": "service_role", "exp": now - 40 })),
            401,
            "PGRST303",
        ),
        (
            project.standin.token(&json!({ "role": "service_role", "iat": now + 60 })),
            401,
            "PGRST303",
        ),
        (project.standin.token(&json!({ "role": "authenticated" })), 403, "42501"),
        (project.standin.token(&json!({ "role": "nobody_s" })), 401, "22023"),
        (project.standin.token(&json!({})), 401, "42501"),
        (project.standin.token(&json!({ "role": "service_role" })) + "x", 401, "PGRST301"),
        ("opaque".to_owned(), 401, "PGRST301"),
    ];
    let key = format!("apikey: {}", project.standin.anon_key());
    for (token, status, code) in cases {
        let bearer = format!("authorization: Bearer {token}");
        let told = project.try_ask("GET /rest/v1/books", &[&key, &bearer]).await.unwrap();
        assert_eq!(told.status, status, "{token}: {told:?}");
        if status != 200 {
            assert_eq!(told.refusal(), (status, code.to_owned()), "{token}");
            assert_eq!(told.header("www-authenticate").is_empty(), status != 401);
        }
    }
}

#[tokio::test]
async fn rows_are_hidden_from_others_and_not_from_the_service() {
    let project = Project::new().await;
    let hidden = "alter table books enable row level security; grant select on books to anon";
    project.sql.batch_execute(hidden).await.unwrap();
    let anon = format!("apikey: {}", project.standin.anon_key());
    let told = project.try_ask("GET /rest/v1/books", &[&anon]).await.unwrap();
    assert_eq!((told.status, told.body.as_str()), (200, "[]"));
    let told = project.ask("GET /rest/v1/books", &[]).await;
    assert_eq!(told.range, "0-2/*");
}

#[tokio::test]
async fn an_address_is_long_enough_at_8_kib_and_below_the_prefix() {
    let project = Project::new().await;
    let long =
        |bytes: usize| format!("GET /rest/v1/books?id=in.({})", "1,".repeat(bytes / 2) + "1");
    assert_eq!(project.ask(&long(8_000), &[]).await.status, 200);
    let told = project.ask(&long(8_200), &[]).await;
    assert_eq!((told.status, told.body.as_str()), (414, "URI too long"));
    assert_eq!(project.ask("GET /books", &[]).await.status, 404);
}

#[tokio::test]
async fn another_schema_is_named_by_its_profile() {
    let options = Options {
        schemas: vec!["public".to_owned(), "other".to_owned()],
        statement_timeout: Duration::from_millis(50),
        gzip: true,
        max_rows: 2,
        grants: false,
    };
    let database = fresh_database("profile").await;
    let sql = connect(&database.url).await.unwrap();
    sql.batch_execute("create schema other; create table other.t (id int primary key)")
        .await
        .unwrap();
    let standin = Standin::with(&database, options).await;
    let project = Project { standin, sql, http: client() };
    let none = project.ask("GET /rest/v1/t", &[]).await;
    assert_eq!(none.refusal(), (404, "PGRST205".to_owned()));
    let read = ["accept-profile: other", "accept-encoding: gzip"];
    let refused = project.ask("GET /rest/v1/t", &read[..1]).await;
    assert_eq!(refused.refusal(), (403, "42501".to_owned()));
    project.sql.batch_execute("grant all on other.t to service_role").await.unwrap();
    project.sql.batch_execute("insert into other.t values (1), (2), (3)").await.unwrap();
    let told = project.ask("GET /rest/v1/t", &read).await;
    assert_eq!((told.range.as_str(), told.header("content-encoding")), ("0-1/*", "gzip"));
    let told = project.ask("GET /rest/v1/t", &["accept-profile: third"]).await;
    assert_eq!(told.refusal(), (406, "PGRST106".to_owned()));
    let slow = "create function public.slow() returns void language sql as 'select pg_sleep(9)'; \
        create function public.patient() returns void language sql set statement_timeout = '9s' \
            as 'select pg_sleep(0.2)'";
    project.sql.batch_execute(slow).await.unwrap();
    project.standin.reload().await;
    let told = project.ask("POST /rest/v1/rpc/slow", &["{}"]).await;
    assert_eq!(told.refusal(), (500, "57014".to_owned()));
    assert_eq!(project.ask("POST /rest/v1/rpc/patient", &["{}"]).await.status, 204);
}

//! Section 5 of what was observed: the description of the API, and what PostgREST sees late.

use std::time::Duration;

use serde_json::json;

use super::Project;

#[tokio::test]
async fn the_description_tells_types_keys_and_little_more() {
    let project = Project::new().await;
    let more = "create domain short as varchar(5) not null; comment on column books.title is 'Its name'; \
        create table pairs (a int, b int, s short, c char(3) default 'x', w numeric(4, 2) default 1.5, \
            at timestamptz default now(), ok boolean not null default true, primary key (b, a)); \
        create table of_pairs (a int, b int, foreign key (a, b) references pairs (b, a)); \
        grant select on pairs, of_pairs to service_role; grant select on notes to anon";
    project.sql.batch_execute(more).await.unwrap();
    project.standin.reload().await;
    let told = project.ask("GET /rest/v1/", &[]).await;
    assert_eq!(told.header("content-type"), "application/openapi+json; charset=utf-8");
    let described = told.json();
    assert_eq!(described["swagger"], "2.0");
    let of =
        |table: &str, column: &str| described["definitions"][table]["properties"][column].clone();
    let key = "Note:\nThis is a Primary Key.<pk/>";
    let parent = "Note:\nThis is a Foreign Key to `authors.id`.<fk table='authors' column='id'/>";
    let cases = [
        ("books", "id", json!({ "format": "int32", "type": "integer", "description": key })),
        (
            "books",
            "author_id",
            json!({ "format": "int64", "type": "integer", "description": parent }),
        ),
        (
            "books",
            "title",
            json!({ "format": "text", "type": "string", "description": "Its name" }),
        ),
        ("books", "price", json!({ "format": "numeric", "type": "number" })),
        ("books", "copies", json!({ "format": "int64", "type": "integer", "default": 1 })),
        (
            "books",
            "tags",
            json!({ "format": "text[]", "type": "array", "items": { "type": "string" } }),
        ),
        ("books", "facts", json!({ "format": "jsonb" })),
        (
            "books",
            "feeling",
            json!({ "format": "public.mood", "type": "string", "enum": ["glad", "sad"] }),
        ),
        ("authors", "id", json!({ "format": "int64", "type": "integer", "description": key })),
        ("priced", "id", json!({ "format": "int32", "type": "integer", "description": key })),
        ("pairs", "s", json!({ "format": "character varying", "type": "string", "maxLength": 5 })),
        (
            "pairs",
            "c",
            json!({ "format": "character", "type": "string", "maxLength": 3, "default": "'x'::bpchar" }),
        ),
        ("pairs", "w", json!({ "format": "numeric", "type": "number", "default": 1.5 })),
        (
            "pairs",
            "at",
            json!({ "format": "timestamp with time zone", "type": "string", "default": "now()" }),
        ),
        ("of_pairs", "a", json!({ "format": "int32", "type": "integer" })),
    ];
    for (table, column, expected) in cases {
        assert_eq!(of(table, column), expected, "{table}.{column}");
    }
    let required = |table: &str| described["definitions"][table]["required"].clone();
    assert_eq!(required("books"), json!(["id", "title", "copies", "updated_at"]));
    assert_eq!(required("pairs"), json!(["a", "b", "s", "ok"]));
    let arguments = &described["paths"]["/rpc/add"]["post"]["parameters"][0]["schema"];
    assert_eq!(arguments["required"], json!(["a"]));
    assert!(described["paths"]["/priced"]["post"].is_object());
}

#[tokio::test]
async fn what_is_new_in_the_schema_is_seen_when_it_is_told() {
    let project = Project::new().await;
    let new = "create table late (id int primary key); grant all on late to service_role; \
        alter table books add column pages int";
    project.sql.batch_execute(new).await.unwrap();
    let told = project.ask("GET /rest/v1/late", &[]).await;
    assert_eq!(told.refusal(), (404, "PGRST205".to_owned()));
    let told = project.ask("GET /rest/v1/books?select=pages&id=eq.1", &[]).await;
    assert_eq!(told.body, r#"[{"pages":null}]"#);
    project.sql.batch_execute("notify pgrst, 'reload schema'").await.unwrap();
    let seen = async { while project.ask("GET /rest/v1/late", &[]).await.status == 404 {} };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("it is seen in time");
    project.sql.batch_execute("drop table late").await.unwrap();
    let told = project.ask("GET /rest/v1/late", &[]).await;
    assert_eq!(told.refusal(), (404, "42P01".to_owned()));
}

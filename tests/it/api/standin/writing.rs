//! Section 2 of what was observed: writing, and its traps.

use super::Project;

const MERGE: &str = "prefer: resolution=merge-duplicates";
const IGNORE: &str = "prefer: resolution=ignore-duplicates";
const DEFAULTS: &str = "prefer: missing=default";
const EXACT: &str = "prefer: count=exact";
const ROWS: &str = "prefer: return=representation";

#[tokio::test]
async fn an_insert_or_upsert_says_what_it_did() {
    let project = Project::new().await;
    let cases: [(&str, &[&str], u16, &str, &str); 12] = [
        ("authors", &[r#"{"name":"New"}"#, "prefer: return=minimal"], 409, "", ""),
        ("authors", &[r#"[{"id":5,"name":"Five"}]"#], 201, "*/*", ""),
        ("authors", &["[]"], 201, "*/*", ""),
        ("notes", &["{}"], 201, "*/*", ""),
        ("notes", &["5"], 201, "*/*", ""),
        (
            "authors?on_conflict=id",
            &[MERGE, EXACT, r#"[{"id":1,"name":"Anna"},{"id":6,"name":"Six"}]"#],
            201,
            "*/2",
            "resolution=merge-duplicates, count=exact",
        ),
        (
            "authors?on_conflict=id",
            &[MERGE, r#"[{"id":1,"name":"Ann"}]"#],
            200,
            "*/*",
            "resolution=merge-duplicates",
        ),
        ("authors", &[MERGE, r#"[{"id":1}]"#], 400, "", ""),
        (
            "authors?on_conflict=name",
            &[MERGE, r#"[{"id":7,"name":"Bob"}]"#],
            200,
            "*/*",
            "resolution=merge-duplicates",
        ),
        (
            "authors",
            &[IGNORE, EXACT, r#"[{"id":1,"name":"X"}]"#],
            201,
            "*/0",
            "resolution=ignore-duplicates, count=exact",
        ),
        ("authors", &[IGNORE, r#"[{"id":1,"name":"Six"},{"id":8,"name":"Six"}]"#], 409, "", ""),
        // A table without a key: the resolution is left out, and nothing but that tells it.
        (
            "notes",
            &[MERGE, "prefer: return=minimal", r#"{"body":"x"}"#],
            201,
            "*/*",
            "return=minimal",
        ),
    ];
    for (target, more, status, range, applied) in cases {
        let body = |line: &&&str| !line.starts_with("prefer");
        let mut headers: Vec<&str> = more.iter().filter(|line| !body(line)).copied().collect();
        let sent = more.iter().find(body).unwrap();
        // Digits alone are a body, too.
        headers.push(sent);
        let told = project.ask(&format!("POST /rest/v1/{target}"), &headers).await;
        assert_eq!(
            (told.status, told.range.as_str()),
            (status, range),
            "{target} {more:?}: {told:?}"
        );
        assert_eq!(told.applied, applied, "{target} {more:?}");
    }
    // The target of the conflict was the name, so the key moved.
    assert_eq!(project.text("select id::text from authors where name = 'Bob'").await, "7");
    assert_eq!(project.text("select count(*)::text from notes").await, "3");
}

#[tokio::test]
async fn rows_come_back_in_their_order_with_the_columns_that_are_asked_for() {
    let project = Project::new().await;
    let body = r#"[{"id":9,"name":"Nine"},{"id":4,"name":"Four"}]"#;
    let told = project.ask("POST /rest/v1/authors?select=name,key:id::text", &[ROWS, body]).await;
    let expected = "[{\"name\":\"Nine\",\"key\":\"9\"}, \n {\"name\":\"Four\",\"key\":\"4\"}]";
    assert_eq!((told.status, told.body.as_str()), (201, expected));
    assert_eq!(told.applied, "return=representation");
}

#[tokio::test]
async fn columns_that_are_named_may_be_missing_and_are_filled() {
    let project = Project::new().await;
    let body = r#"[{"id":7,"title":"Seven","x":1},{"id":8,"title":"Eight","copies":3}]"#;
    let target = "POST /rest/v1/books?columns=id,title,copies&select=id,copies";
    let told = project.ask(target, &[body]).await;
    assert_eq!(told.refusal(), (400, "23502".to_owned()));
    let told = project.ask(target, &[DEFAULTS, ROWS, body]).await;
    assert_eq!(told.body, "[{\"id\":7,\"copies\":1}, \n {\"id\":8,\"copies\":3}]");
    assert_eq!(told.applied, "missing=default, return=representation");
    // A column that is named and missing is overwritten where the row is there.
    let merged = r#"[{"id":2,"title":"Second"}]"#;
    let target = "POST /rest/v1/books?columns=id,title,price&select=price";
    let told = project.ask(target, &[MERGE, ROWS, merged]).await;
    assert_eq!((told.status, told.body.as_str()), (200, r#"[{"price":null}]"#));
}

#[tokio::test]
async fn what_cannot_be_written_is_told_by_code() {
    let project = Project::new().await;
    let deferred = "create table late (id int primary key, n int unique deferrable, \
        b int references late initially deferred); \
        create unique index on late (b) where b > 0; create table made (id int generated always as identity, \
        n int); notify pgrst";
    project.sql.batch_execute(deferred).await.unwrap();
    project.sql.batch_execute("grant all on late, made to service_role").await.unwrap();
    project.standin.reload().await;
    let cases: [(&str, &[&str], u16, &str); 15] = [
        ("authors", &[r#"[{"id":1,"name":"X"}]"#], 409, "23505"),
        ("books", &[r#"{"id":9,"title":"x","author_id":99}"#], 409, "23503"),
        ("books", &[r#"{"id":9}"#], 400, "23502"),
        ("books", &[r#"{"id":1.5,"title":"x"}"#], 400, "22P02"),
        ("books", &[r#"{"id":9,"title":"\u0000"}"#], 400, "22P05"),
        ("books", &[r#"{"id":9,"nope":1}"#], 400, "PGRST204"),
        ("books", &[r#"[{"id":9},{"title":"x"}]"#], 400, "PGRST102"),
        ("books", &["{"], 400, "PGRST102"),
        ("nope", &["{}"], 404, "PGRST205"),
        ("authors", &[MERGE, r#"[{"id":3,"name":"A"},{"id":3,"name":"B"}]"#], 500, "21000"),
        ("late?on_conflict=n", &[MERGE, r#"{"id":1,"n":1}"#], 500, "55000"),
        ("late?on_conflict=b", &[MERGE, r#"{"id":1,"b":1}"#], 400, "42P10"),
        ("late?on_conflict=nope", &[MERGE, r#"{"id":1}"#], 400, "42703"),
        ("late", &[r#"{"id":1,"b":99}"#], 409, "23503"),
        ("made", &[r#"{"id":1,"n":1}"#], 400, "428C9"),
    ];
    for (target, more, status, code) in cases {
        let told = project.ask(&format!("POST /rest/v1/{target}"), more).await;
        assert_eq!(told.refusal(), (status, code.to_owned()), "{target} {more:?}");
    }
    let told = project.ask("POST /rest/v1/books", &["content-type: text/plain", "x: y"]).await;
    assert_eq!(told.refusal(), (400, "PGRST102".to_owned()));
    // One bad row, and nothing is stored.
    let rows = r#"[{"id":50,"name":"Fifty"},{"id":51,"name":null}]"#;
    assert_eq!(project.ask("POST /rest/v1/authors", &[rows]).await.status, 400);
    assert_eq!(project.text("select count(*)::text from authors").await, "2");
}

#[tokio::test]
async fn rows_are_changed_and_deleted_by_filters_alone() {
    let project = Project::new().await;
    let cases: [(&str, &[&str], u16, &str, &str); 7] = [
        ("PATCH /rest/v1/books?id=gt.1", &[EXACT, r#"{"copies":5}"#], 204, "0-1/2", ""),
        ("PATCH /rest/v1/books?id=eq.1", &[r#"{"copies":5}"#], 204, "0-0/*", ""),
        ("PATCH /rest/v1/books?id=eq.99", &[r#"{"copies":5}"#], 204, "*/*", ""),
        (
            "PATCH /rest/v1/books?id=eq.1&select=id",
            &[ROWS, r#"{"copies":6}"#],
            200,
            "0-0/*",
            r#"[{"id":1}]"#,
        ),
        ("DELETE /rest/v1/books?id=eq.1&select=id", &[ROWS], 200, "*/*", r#"[{"id":1}]"#),
        ("DELETE /rest/v1/books?id=gt.0", &[EXACT], 204, "*/2", ""),
        ("DELETE /rest/v1/books?id=gt.0", &[], 204, "*/*", ""),
    ];
    for (call, more, status, range, body) in cases {
        let told = project.ask(call, more).await;
        let told = (told.status, told.range.as_str(), told.body.as_str());
        assert_eq!(told, (status, range, body), "{call} {more:?}");
    }
    let refused: [(&str, &[&str], &str); 4] = [
        ("DELETE /rest/v1/authors", &[], "21000"),
        ("PATCH /rest/v1/authors", &[r#"{"name":"x"}"#], "21000"),
        (
            "DELETE /rest/v1/authors?id=gt.0",
            &["prefer: handling=strict, max-affected=1"],
            "PGRST124",
        ),
        ("PATCH /rest/v1/authors?id=gt.0", &[r#"{"nope":1}"#], "PGRST204"),
    ];
    for (call, more, code) in refused {
        assert_eq!(project.ask(call, more).await.refusal(), (400, code.to_owned()), "{call}");
    }
    assert_eq!(project.text("select count(*)::text from authors").await, "2");
}

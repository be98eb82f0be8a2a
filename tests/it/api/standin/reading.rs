//! Section 1 of what was observed: reading, and calling functions.

use super::Project;

#[tokio::test]
async fn rows_are_found_as_the_filters_say() {
    let project = Project::new().await;
    let cases = [
        ("id=eq.2", "[2]"),
        ("id=neq.2", "[1,3]"),
        ("id=gt.1&id=lt.3", "[2]"),
        ("id=gte.2", "[2,3]"),
        ("id=lte.1", "[1]"),
        ("id=in.(1,3)", "[1,3]"),
        ("id=in.()", "[]"),
        ("id=not.in.(1,3)", "[2]"),
        ("title=in.(One,\"Two, \\\"too\\\"\")", "[1,2]"),
        ("title=eq.Two, \"too\"", "[2]"),
        ("title=eq.", "[]"),
        ("title=eq.null", "[]"),
        ("title=like.*e", "[1,3]"),
        ("author_id=is.null", "[3]"),
        ("author_id=is.not_null", "[1,2]"),
        ("author_id=not.is.null", "[1,2]"),
        ("author_id=isdistinct.1", "[3]"),
        ("id=not.gt.2", "[1,2]"),
        ("or=(id.gt.2,and(author_id.eq.1,title.eq.One))", "[1,3]"),
        ("and=(id.gt.1,not.or(id.eq.3,title.eq.\"x,y\"))", "[2]"),
        ("not.or=(id.eq.1,id.in.(2,9))", "[3]"),
        ("title=eq.Two,+%22too%22", "[2]"),
        ("feeling=is.null&copies=eq.1&id=lt.2", "[1]"),
    ];
    for (filters, expected) in cases {
        let target = format!("GET /rest/v1/books?select=id&order=id&{filters}");
        let told = project.ask(&target, &[]).await;
        assert_eq!(told.status, 200, "{filters}: {told:?}");
        let ids = told.json().as_array().unwrap().iter().map(|row| row["id"].to_string()).collect();
        let ids: Vec<String> = ids;
        assert_eq!(format!("[{}]", ids.join(",")), expected, "{filters}");
    }
}

#[tokio::test]
async fn a_page_tells_its_place_and_what_it_is_of() {
    let project = Project::new().await;
    let exact = "prefer: count=exact";
    let cases: [(&str, &[&str], u16, &str); 14] = [
        ("", &[], 200, "0-2/*"),
        ("", &[exact], 200, "0-2/3"),
        ("limit=2", &[exact], 206, "0-1/3"),
        ("limit=2", &[], 200, "0-1/*"),
        ("offset=3", &[exact], 206, "*/3"),
        ("offset=9", &[], 200, "*/*"),
        ("offset=9", &[exact], 416, "*/3"),
        ("id=gt.9", &[exact], 200, "*/0"),
        ("limit=0", &[], 200, "*/*"),
        ("limit=-1", &[], 416, ""),
        ("", &["range: 0-1", "range-unit: items"], 200, "0-1/*"),
        ("", &["range: 1-"], 200, "1-2/*"),
        ("limit=1", &["range: 0-1"], 200, "0-0/*"),
        ("", &["range: 5-2"], 416, ""),
    ];
    for (query, headers, status, range) in cases {
        let told = project.ask(&format!("GET /rest/v1/books?{query}"), headers).await;
        assert_eq!((told.status, told.range.as_str()), (status, range), "{query}: {told:?}");
        let honoured = headers.contains(&exact) && status < 400;
        assert_eq!(told.applied, if honoured { "count=exact" } else { "" }, "{query}");
        if status == 416 {
            assert_eq!(told.refusal().1, "PGRST103");
        }
    }
    let head = project.ask("HEAD /rest/v1/books?limit=1", &[exact]).await;
    assert_eq!((head.status, head.range.as_str(), head.body.as_str()), (206, "0-0/3", ""));
}

#[tokio::test]
async fn more_rows_than_the_most_are_left_out_without_a_word() {
    let project = Project::new().await;
    let many = "insert into books (id, title) select n, 'n' from generate_series(4, 2500) as n";
    project.sql.batch_execute(many).await.unwrap();
    for query in ["", "limit=5000"] {
        let told = project.ask(&format!("GET /rest/v1/books?{query}"), &[]).await;
        assert_eq!((told.status, told.range.as_str()), (200, "0-999/*"));
    }
    let told = project.ask("GET /rest/v1/books?select=id", &["prefer: count=exact"]).await;
    assert_eq!((told.status, told.range.as_str()), (206, "0-999/2500"));
    let told = project.ask("POST /rest/v1/rpc/titles", &["{}"]).await;
    assert_eq!(told.json().as_array().unwrap().len(), 1_000);
}

#[tokio::test]
async fn the_body_is_the_text_that_postgres_makes() {
    let project = Project::new().await;
    let cases = [
        (
            "books?select=id,price&order=id&limit=2",
            "[{\"id\":1,\"price\":0.10}, \n {\"id\":2,\"price\":20.00}]",
        ),
        ("books?select=n:id::text&id=eq.1", r#"[{"n":"1"}]"#),
        (
            "books?select=updated_at&id=eq.1",
            r#"[{"updated_at":"2024-02-29T10:34:56.789123+00:00"}]"#,
        ),
        ("books?select=id&order=price.desc", "[{\"id\":3}, \n {\"id\":2}, \n {\"id\":1}]"),
        (
            "books?select=id&order=price.desc.nullslast",
            "[{\"id\":2}, \n {\"id\":1}, \n {\"id\":3}]",
        ),
        (
            "books?select=id&order=author_id.asc,id.desc",
            "[{\"id\":2}, \n {\"id\":1}, \n {\"id\":3}]",
        ),
        ("Odd%20Name?select=%22a.b%22,with%20space", "[]"),
        ("rpc/add?a=3", "5"),
        ("rpc/titles?limit=1", r#"["One"]"#),
        ("rpc/cheaper?than=5&select=id", r#"[{"id":1}]"#),
        ("rpc/echo?payload=%7B%22b%22:1.10,%22a%22:1%7D", r#"{"a": 1, "b": 1.10}"#),
    ];
    for (target, expected) in cases {
        let told = project.ask(&format!("GET /rest/v1/{target}"), &[]).await;
        assert_eq!((told.status, told.body.as_str()), (200, expected), "{target}");
        assert_eq!(told.header("content-length"), expected.len().to_string());
    }
    let zone = ["prefer: timezone=Europe/Berlin"];
    let told = project.ask("GET /rest/v1/books?select=updated_at&id=eq.1", &zone).await;
    assert_eq!(told.body, r#"[{"updated_at":"2024-02-29T11:34:56.789123+01:00"}]"#);
    let csv = ["accept: text/csv"];
    let told = project.ask("GET /rest/v1/books?select=id,price&id=gt.1&order=id", &csv).await;
    assert_eq!(told.body, "id,price\n2,20.00\n3,");
    let none = project.ask("GET /rest/v1/books?id=gt.9", &csv).await;
    assert_eq!(none.body, "\n");
}

#[tokio::test]
async fn one_object_is_one_row_and_nothing_else() {
    let project = Project::new().await;
    let accept = ["accept: application/vnd.pgrst.object+json"];
    let told = project.ask("GET /rest/v1/books?id=eq.1&select=id", &accept).await;
    assert_eq!((told.status, told.body.as_str()), (200, r#"{"id":1}"#));
    for query in ["id=gt.1", "id=gt.9"] {
        let told = project.ask(&format!("GET /rest/v1/books?{query}"), &accept).await;
        assert_eq!(told.refusal(), (406, "PGRST116".to_owned()), "{query}");
    }
}

#[tokio::test]
async fn a_function_is_called_by_the_names_of_its_arguments() {
    let project = Project::new().await;
    let cases = [
        ("add", r#"{"a": 3}"#, 200, "5"),
        ("add", r#"{"a": 3, "b": 4}"#, 200, "7"),
        ("echo", r#"{"payload": [1, null]}"#, 200, "[1, null]"),
        ("rename", r#"{"old": "Ann", "new": "Anna"}"#, 204, ""),
    ];
    for (name, arguments, status, body) in cases {
        let told = project.ask(&format!("POST /rest/v1/rpc/{name}"), &[arguments]).await;
        assert_eq!((told.status, told.body.as_str()), (status, body), "{name}");
    }
    assert_eq!(project.text("select name from authors where id = 1").await, "Anna");
    let refused = [
        ("POST /rest/v1/rpc/add", r#"{"c": 3}"#, 404, "PGRST202"),
        ("POST /rest/v1/rpc/add", "{}", 404, "PGRST202"),
        ("POST /rest/v1/rpc/fail", "{}", 400, "P0001"),
        ("GET /rest/v1/rpc/rename?old=Bob&new=Rob", "", 405, "25006"),
    ];
    for (call, arguments, status, code) in refused {
        let body: &[&str] = if arguments.is_empty() { &[] } else { &[arguments] };
        let told = project.ask(call, body).await;
        assert_eq!(told.refusal(), (status, code.to_owned()), "{call}");
    }
    let told = project.ask("POST /rest/v1/rpc/fail", &["{}"]).await;
    let expected =
        r#"{"code":"P0001","details":"none at all","hint":"try again","message":"no luck"}"#;
    assert_eq!(told.body, expected);
}

#[tokio::test]
async fn what_nobody_has_observed_is_refused_aloud() {
    let project = Project::new().await;
    let unknown: [(&str, &[&str]); 13] = [
        ("GET /rest/v1/books?tags=cs.{a}", &[]),
        ("GET /rest/v1/books?id=eq(any).{1}", &[]),
        ("GET /rest/v1/books?select=id,authors(name)", &[]),
        ("GET /rest/v1/books?select=facts->a", &[]),
        ("GET /rest/v1/books?on_conflict=id", &[]),
        ("GET /rest/v1/books", &["prefer: count=planned"]),
        ("GET /rest/v1/books", &["prefer: cuont=exact"]),
        ("GET /rest/v1/books", &["prefer: timezone=Europe/Nowhere"]),
        ("PUT /rest/v1/books?id=eq.1", &["{}"]),
        ("PATCH /rest/v1/books?id=gt.0", &["{}"]),
        ("POST /rest/v1/books", &["{}"]),
        ("DELETE /rest/v1/books?id=gt.0", &[]),
        ("GET /rest/v1/books?limit=x", &[]),
    ];
    for (call, more) in unknown {
        let told = project.ask(call, more).await;
        assert_eq!(told.refusal(), (501, "STANDIN".to_owned()), "{call}");
    }
    let known: [(&str, &[&str], u16, &str); 9] = [
        ("GET /rest/v1/books?id=foo.1", &[], 400, "PGRST100"),
        ("GET /rest/v1/books?or=(id.eq.1", &[], 400, "PGRST100"),
        ("GET /rest/v1/books?select=count()", &[], 400, "PGRST123"),
        ("GET /rest/v1/books?nope=eq.1", &[], 400, "42703"),
        ("GET /rest/v1/books?select=nope", &[], 400, "42703"),
        ("GET /rest/v1/books?id=eq.x", &[], 400, "22P02"),
        ("GET /rest/v1/books/", &[], 404, "PGRST125"),
        ("GET /rest/v1/books", &["accept: image/png"], 406, "PGRST107"),
        ("GET /rest/v1/books", &["prefer: handling=strict, cuont=exact"], 400, "PGRST122"),
    ];
    for (call, more, status, code) in known {
        let told = project.ask(call, more).await;
        assert_eq!(told.refusal(), (status, code.to_owned()), "{call}");
    }
    let lenient = ["prefer: handling=lenient, cuont=exact"];
    assert_eq!(project.ask("GET /rest/v1/books", &lenient).await.status, 200);
}

//! Trouble on demand happens where it was asked for, and the log tells it.

use std::time::{Duration, Instant};

use super::Project;
use crate::world::postgrest::{Call, Trouble};

const NEW: &str = r#"{"id":9,"name":"Nine"}"#;

#[tokio::test]
async fn the_gateway_answers_by_itself_as_often_as_it_is_told() {
    let project = Project::new().await;
    project.standin.fail("GET /books", 1, 2, Trouble::Status(503));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let told = project.ask("GET /rest/v1/books?select=id", &[]).await;
        assert_eq!(told.header("retry-after").is_empty(), told.status != 503);
        assert!(told.header("proxy-status").is_empty());
        statuses.push(told.status);
        assert_eq!(project.ask("GET /rest/v1/authors", &[]).await.status, 200);
    }
    assert_eq!(statuses, [200, 503, 503, 200]);
    for status in [402, 429, 500, 504, 520, 540, 544] {
        project.standin.fail_next("/books", Trouble::Status(status));
        assert_eq!(project.ask("GET /rest/v1/books", &[]).await.status, status);
    }
    project
        .standin
        .fail_next("POST /rpc/add_author", Trouble::Body(200, "text/html", "<p>hello</p>"));
    assert_eq!(project.ask("POST /rest/v1/rpc/add_author", &[NEW]).await.body, "<p>hello</p>");
    assert_eq!(project.text("select count(*)::text from authors").await, "2");
    assert!(!project.standin.is_waiting());
}

#[tokio::test]
async fn a_connection_ends_before_the_work_after_it_or_in_the_answer() {
    let project = Project::new().await;
    let key = format!("apikey: {}", project.standin.secret_key());
    let insert = ("POST /rest/v1/rpc/add_author", [key.as_str(), NEW]);
    for (trouble, authors) in [(Trouble::ResetBefore, "2"), (Trouble::ResetAfter, "3")] {
        project.standin.fail_next("POST /rpc/add_author", trouble);
        project.try_ask(insert.0, &insert.1).await.unwrap_err();
        assert_eq!(project.text("select count(*)::text from authors").await, authors);
    }
    project.standin.fail_next("POST /rpc/add_author", Trouble::StatusAfter(504));
    let another = r#"{"id":10,"name":"Ten"}"#;
    assert_eq!(project.ask("POST /rest/v1/rpc/add_author", &[another]).await.status, 504);
    assert_eq!(project.text("select count(*)::text from authors").await, "4");
    project.standin.fail_next("/books", Trouble::Truncated);
    let cut = project.try_ask("GET /rest/v1/books", &[&key]).await.unwrap_err();
    assert!(cut.is_body() || cut.is_decode(), "{cut:?}");
    project.standin.fail_next("/rpc/add", Trouble::Doubled);
    assert_eq!(project.ask("GET /rest/v1/rpc/add?a=3", &[]).await.body, "55");
    project.standin.fail_next("/rpc/add", Trouble::Late(Duration::from_millis(200)));
    let begun = Instant::now();
    assert_eq!(project.ask("GET /rest/v1/rpc/add?a=3", &[]).await.body, "5");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let call = |method: &str, target: &str, status, sent, received| Call {
        method: method.to_owned(),
        target: target.to_owned(),
        status,
        sent,
        received,
    };
    let calls = project.standin.calls();
    assert_eq!(calls[1], call("POST", "/rpc/add_author", None, NEW.len(), 0));
    assert_eq!(calls[5], call("GET", "/rpc/add?a=3", Some(200), 0, 1));
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_undo_the_work() {
    let project = Project::new().await;
    let slow = "create function slow() returns trigger language plpgsql \
        as $$ begin perform pg_sleep(0.3); return new; end $$; \
        create trigger slow before insert on authors for each row execute function slow()";
    project.sql.batch_execute(slow).await.unwrap();
    let request = project
        .http
        .post(format!("{}/rest/v1/rpc/add_author", project.standin.url()))
        .timeout(Duration::from_millis(100));
    let request = request.header("apikey", project.standin.secret_key());
    let sent = request.header("content-type", "application/json").body(NEW).send().await;
    assert!(sent.unwrap_err().is_timeout());
    let stored = async { while project.text("select count(*)::text from authors").await == "2" {} };
    tokio::time::timeout(Duration::from_secs(20), stored).await.expect("it is stored in time");
}

#[tokio::test]
async fn a_project_that_takes_no_writes_says_so_and_is_read() {
    let project = Project::new().await;
    project.standin.set_read_only(true);
    let told = project.ask("POST /rest/v1/rpc/add_author", &[NEW]).await;
    assert_eq!(told.refusal(), (405, "25006".to_owned()));
    assert_eq!(project.ask("GET /rest/v1/authors", &[]).await.status, 200);
    project.standin.set_read_only(false);
    assert_eq!(project.ask("POST /rest/v1/rpc/add_author", &[NEW]).await.status, 204);
}

#[tokio::test]
async fn a_conflict_of_transactions_is_run_again_and_not_told() {
    let project = Project::new().await;
    let third_time = "create sequence tries; grant all on tries to service_role; \
        create function third() returns text language plpgsql as $$ begin \
        if nextval('tries') < 3 then raise sqlstate '40001'; end if; return 'done'; end $$; \
        create function never() returns text language plpgsql as $$ begin \
        raise sqlstate '40P01'; end $$";
    project.sql.batch_execute(third_time).await.unwrap();
    project.standin.reload().await;
    assert_eq!(project.ask("POST /rest/v1/rpc/third", &["{}"]).await.body, "\"done\"");
    let told = project.ask("POST /rest/v1/rpc/never", &["{}"]).await;
    assert_eq!(told.refusal(), (500, "40P01".to_owned()));
}

//! The session in which a call runs, as Supabase sets it up.

use syncline::engine::model::range::Side;
use syncline::wiring::App;

use super::Project;

#[tokio::test]
async fn a_function_runs_with_the_settings_that_supabase_gives_its_callers() {
    let project = Project::new().await;
    let settings = "select concat_ws('; ', current_user, current_setting('lock_timeout'), \
        current_setting('statement_timeout'), current_setting('transaction_isolation'), \
        current_setting('search_path'))";
    for (name, own) in [("plain", ""), ("patient", "set statement_timeout = '55s'")] {
        let create = format!(
            "create function {name}() returns text language sql volatile {own} as $${settings}$$"
        );
        project.sql.batch_execute(&create).await.unwrap();
    }
    project.standin.reload().await;
    for (name, timeout) in [("plain", "8s"), ("patient", "55s")] {
        let told = project.ask(&format!("POST /rest/v1/rpc/{name}"), &["{}"]).await;
        let expected = format!(
            "service_role; 8s; {timeout}; read committed; \"public\", \"public\", \"extensions\""
        );
        assert_eq!(told.json(), expected, "{name}");
    }
}

#[tokio::test]
async fn what_a_script_executes_without_a_where_is_refused_inside_the_function() {
    let project = Project::new().await;
    project.sql.batch_execute(&App::project_sql(Side::Source, "public")).await.unwrap();
    project.standin.reload().await;
    for (statement, code) in [
        ("delete from pg_temp.page", "21000"),
        ("update pg_temp.page set id = 1", "21000"),
        ("do $$ begin delete from pg_temp.page; end $$", "21000"),
        ("delete from pg_temp.page where true", ""),
    ] {
        let script = serde_json::json!({ "script": [
            { "sql": "create temporary table page (id int) on commit drop", "gives": "nothing" },
            { "sql": statement, "gives": "nothing" },
        ], "keep": true });
        let told = project.ask("POST /rest/v1/rpc/syncline_run", &[&script.to_string()]).await;
        let failed = &told.json()[0]["failed"];
        assert_eq!(failed["code"].as_str().unwrap_or_default(), code, "{statement}: {told:?}");
        let message = failed["message"].as_str().unwrap_or_default();
        assert_eq!(message.ends_with("requires a WHERE clause"), !code.is_empty(), "{message}");
    }
}

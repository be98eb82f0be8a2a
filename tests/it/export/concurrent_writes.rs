//! Exports beside whatever else goes on: all of one is of one moment, and what breaks on the way
//! leaves nothing that looks whole.

use std::process::{Command, Output, Stdio};

use crate::export::restore::{Folder, export, exported, psql, restored, said};
use crate::safety::standby::Followed;
use crate::world::pair::Pair;
use crate::world::pooler::Pooler;
use crate::world::proxy::{Act, Proxy, Way};
use crate::world::{cluster, role, text};

/// Accounts in two tables, the first of which takes several messages to send.
const ACCOUNTS: &str = "create table a (id int primary key, money int, filler text); \
    create table b (id int primary key, money int)";

async fn accounts() -> (Pair, Proxy) {
    let pair = Pair::with(ACCOUNTS).await;
    pair.sql_source(
        "insert into a select i, 100, repeat('x', 1000) from generate_series(1, 20000) i; \
         insert into b select i, 100 from generate_series(1, 1000) i",
    )
    .await;
    let proxy = Proxy::before(cluster().port()).await;
    let url = proxy.url(&pair.source.url, cluster().port());
    (pair.set("SOURCE_DATABASE_URL", url), proxy)
}

/// The pair comes back, since the process has to be waited for elsewhere.
async fn meanwhile(pair: Pair, file: String) -> (Pair, Output) {
    let export = move || {
        let output = export(&pair, &["--format", "sql", "--output", &file]);
        (pair, output)
    };
    tokio::task::spawn_blocking(export).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tables_are_of_one_moment_while_others_write_and_none_can_be_emptied() {
    let Some(psql) = psql() else { return };
    let (pair, proxy) = accounts().await;
    let folder = Folder::of(&pair);
    let writer = pair.writer().await;
    proxy.after(Way::ToClient, 2 << 20, Act::Hold);
    let exporting = tokio::spawn(meanwhile(pair, folder.path("all.sql")));
    proxy.holds().await;
    let moved = "begin; update a set money = money - 50; update b set money = money + 1000; \
        delete from b where id > 500; commit";
    writer.batch_execute(moved).await.unwrap();
    let emptied = writer.batch_execute("set lock_timeout = '50ms'; truncate b").await;
    proxy.resume();
    let (pair, output) = exporting.await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(emptied.unwrap_err().code().unwrap().code(), "55P03");
    restored(&psql, &pair, &folder.path("all.sql"));
    let sum = "select (select sum(money) from a) + (select sum(money) from b) || ' ' || \
        (select count(*) from b)";
    assert_eq!(pair.text_target(sum).await, "2100000 1000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_leaves_the_file_of_before_and_no_other() {
    let (pair, proxy) = accounts().await;
    let folder = Folder::of(&pair);
    std::fs::write(folder.path("all.sql"), "of yesterday").unwrap();
    proxy.after(Way::ToClient, 2 << 20, Act::Cut);
    let (_pair, output) = meanwhile(pair, folder.path("all.sql")).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("public.a: Cannot read the rows"), "{}", said(&output));
    assert_eq!(folder.names(), ["all.sql"]);
    assert_eq!(std::fs::read_to_string(folder.path("all.sql")).unwrap(), "of yesterday");
}

#[tokio::test]
async fn a_table_that_somebody_holds_or_the_role_may_not_read_is_named_before_a_file_is_made() {
    let pair = Pair::with(ACCOUNTS).await;
    let folder = Folder::of(&pair);
    let holder = pair.writer().await;
    holder.batch_execute("begin; lock table b").await.unwrap();
    let held = export(&pair, &["--format", "sql", "--output", &folder.path("all.sql")]);
    holder.batch_execute("rollback").await.unwrap();
    let reader = role(&pair.source.url, "grant select on a to ROLE").await;
    let pair = pair.set("SOURCE_DATABASE_URL", reader);
    let hidden = export(&pair, &["--format", "sql", "--output", &folder.path("all.sql")]);
    for output in [held, hidden] {
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).starts_with("public.b: Cannot read the rows"), "{}", said(&output));
    }
    assert!(folder.names().is_empty());
}

#[tokio::test]
async fn an_export_through_a_pooler_leaves_nothing_in_its_connections() {
    let Some(pooler) = Pooler::before(cluster().port(), cluster().password()) else { return };
    let pair = Pair::with(ACCOUNTS).await;
    pair.sql_source("insert into a values (1, 1, ''); insert into b values (1, 1)").await;
    let url = pooler.url(&pair.source.url);
    let pair = pair.set("SOURCE_DATABASE_URL", &url);
    for _ in 0..3 {
        let output = exported(&pair, &["--format", "sql"]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("insert into \"public\".\"b\""));
    }
    let left = "select current_setting('statement_timeout') || current_setting('DateStyle')";
    assert_eq!(text(&url, left).await, text(&pair.source.url, left).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_exported_like_its_primary() {
    let Some(followed) = Followed::with(ACCOUNTS).await else { return };
    followed.pair.sql_source("insert into a values (1, 1, ''); insert into b values (1, 2)").await;
    followed.caught_up().await;
    let text = String::from_utf8(exported(&followed.pair, &["--format", "sql"]).stdout).unwrap();
    assert!(text.contains("('1', '1', '')") && text.contains("('1', '2')"), "{text}");
}

/// The shell takes the memory away: what is exported is more than the process may have.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_table_that_is_larger_than_the_memory_is_exported() {
    let pair = Pair::with("create table t (id int primary key, s text)").await;
    let fill = "insert into t select i, repeat('0123456789', 50000) from generate_series(1, 500) i";
    pair.sql_source(fill).await;
    for format in ["sql", "csv", "jsonl"] {
        let limited = "ulimit -v 200000; exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", limited, "sh", env!("CARGO_BIN_EXE_syncline"), "export"]);
        command.args(["--format", format]).env_clear().envs(pair.settings());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("sh runs");
        let mut rows = child.stdout.take().expect("it is piped");
        let bytes = std::io::copy(&mut rows, &mut std::io::sink()).expect("the pipe is read");
        assert!(child.wait().expect("it ends").success(), "{format}");
        assert!(bytes > 250_000_000, "{format}: {bytes}");
    }
}

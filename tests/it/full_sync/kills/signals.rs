//! Full syncs whose person presses Ctrl-C, or whose process is told to end.

use std::process::Stdio;

use serde_json::Value;

use crate::full_sync::terminal::{DOCS, Two};
use crate::world::process::signal;
use crate::world::proxy::{Act, Way};

/// A megabyte, of rows that cannot be compressed.
const FILLED: &str = "\
    insert into docs select m, string_agg(md5((m * 7919 + n)::text), '') \
    from generate_series(1, 32) as m, generate_series(1, 1000) as n group by m";

/// 1. The writing connection holds still: first in the transfer, then in the restore.
/// 2. The process gets a signal, ends, and says how to go on.
/// 3. That command completes the session.
#[tokio::test]
async fn a_signal_leaves_a_session_that_the_printed_command_completes() {
    let mut two = Two::with(DOCS, &[]).await;
    two.both.there.sql(FILLED).await;
    let proxy = two.both.here.put_behind_proxy().await;
    for (name, bytes) in [("INT", 800_000), ("TERM", 1_500_000)] {
        two.both.here.sql("truncate docs").await;
        proxy.after(Way::ToServer, bytes, Act::Hold);
        let mut command =
            tokio::process::Command::from(two.command(&["pull", "there", "--no-compress"]));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let pull = command.spawn().expect("it starts");
        proxy.holds().await;
        signal(name, pull.id().expect("it runs"));
        let ended = pull.wait_with_output().await.expect("it ends");
        assert_eq!(ended.status.code(), Some(130), "{name}: {ended:?}");
        let words = String::from_utf8_lossy(&ended.stderr).into_owned();
        let (_, id) = words.split_once("Go on with: syncline full-sync resume ").expect(&words);
        let (_, shown, _) = two.run(&["status", id.trim(), "--json"]).await;
        let shown: Value = serde_json::from_str(&shown).expect("a session");
        assert_eq!(shown["state"], "interrupted", "{shown}");
        assert!(two.both.here.rows("docs").await.starts_with("0 "), "nothing is saved");
        // What the process had sent already arrives late.
        proxy.resume();
        let (code, out, errors) = two.run(&["resume", id.trim()]).await;
        assert_eq!(code, 0, "{name}: {out}{errors}");
        two.both.assert_equal(&["docs"]).await;
    }
}

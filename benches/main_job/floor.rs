//! The least that the same work takes: psql piped into psql.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::tables::Table;
use super::world::World;

/// Copies all rows straight into the same indexed table.
pub fn load(world: &World, table: &Table, source: &str, target: &str) -> Duration {
    let name = table.name;
    pipe(
        world,
        (source, &format!("copy {name} to stdout (format binary)")),
        (target, &[&format!("copy {name} from stdin (format binary)")]),
    )
}

/// Copies the changed rows, found by the index, into a staging table and upserts them once.
pub fn change(world: &World, table: &Table, source: &str, target: &str) -> Duration {
    let Table { name, key, since, .. } = table;
    let sets: Vec<String> =
        table.values.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    let changed = format!(
        "copy (select * from {name} where updated_at > '{since}' order by updated_at, {key}) \
         to stdout (format binary)"
    );
    let upsert = format!(
        "insert into {name} select * from staged on conflict ({key}) do update set {}",
        sets.join(", ")
    );
    let apply = [
        "begin",
        &format!("create temporary table staged (like {name}) on commit drop"),
        "copy staged from stdin (format binary)",
        &upsert,
        "commit",
    ];
    pipe(world, (source, &changed), (target, &apply))
}

fn pipe(world: &World, (source, copy): (&str, &str), (target, apply): (&str, &[&str])) -> Duration {
    let psql = |url: &str, statements: &[&str]| {
        let mut psql = Command::new(&world.psql);
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", url]);
        psql.args(statements.iter().map(|statement| format!("--command={statement}")));
        psql
    };
    let begun = Instant::now();
    let mut reads = psql(&world.source.url(source), &[copy])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql starts");
    let rows = reads.stdout.take().expect("a pipe was asked for");
    let writes = psql(&world.target.url(target), apply).stdin(rows).status();
    let took_all = reads.wait().expect("psql ends").success();
    assert!(took_all && writes.expect("psql starts").success(), "the floor failed");
    begun.elapsed()
}

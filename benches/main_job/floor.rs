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

/// Copies the orders from a URL, as `pg_dump` writes them, into the same indexed tables.
pub fn dump(world: &World, source: &str, target: &str) -> Duration {
    let mut dump = Command::new(world.psql.with_file_name("pg_dump"));
    dump.args(["--data-only", "--table=orders", "--dbname", source]);
    piped(&mut dump, &mut psql(world, &world.target.url(target), &[]))
}

fn pipe(world: &World, (source, copy): (&str, &str), (target, apply): (&str, &[&str])) -> Duration {
    let mut reads = psql(world, &world.source.url(source), &[copy]);
    piped(reads.stdin(Stdio::null()), &mut psql(world, &world.target.url(target), apply))
}

/// `psql` for a URL; it runs the statements, or what comes in.
pub fn psql(world: &World, url: &str, statements: &[&str]) -> Command {
    let mut psql = Command::new(&world.psql);
    psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", url]);
    psql.args(statements.iter().map(|statement| format!("--command={statement}")));
    psql.stdout(Stdio::null());
    psql
}

/// Runs a program that writes into one that reads, to the end of both.
pub fn piped(reads: &mut Command, writes: &mut Command) -> Duration {
    let begun = Instant::now();
    let mut reads = reads.stdout(Stdio::piped()).spawn().expect("the reader starts");
    let rows = reads.stdout.take().expect("a pipe was asked for");
    let writes = writes.stdin(rows).status();
    let took_all = reads.wait().expect("the reader ends").success();
    assert!(took_all && writes.expect("psql starts").success(), "the floor failed");
    begun.elapsed()
}

//! A table's life against its floors: the first load, a change of one row in fifty, and everything
//! read again although nothing changed.
//!
//! - here: orders and flights, against psql
//! - `triggers`: orders with triggers on both sides, against psql without any
//! - `waiting_rows`: rows that wait for others, against the same rows without a constraint

pub mod triggers;
pub mod waiting_rows;

use std::time::Duration;

use syncline::demo::compare;

use crate::report::{Report, Samples};
use crate::tables::{Databases, Table};
use crate::world::World;
use crate::{floor, product, quiet};

/// The turns of product and floor at the first load; one takes seconds.
const LOADS: usize = 5;

/// The turns at a change.
const CHANGES: usize = 9;

/// The repetitions of a quiet run; one takes milliseconds.
const QUIET_TIMES: usize = 11;

/// Measures the table's whole life.
pub fn measure(world: &World, table: &Table, report: &mut Report) {
    let databases = table.databases();
    (table.make)(world, &databases);
    let first = first_load(world, table, &databases, report);
    let peak_kib = first.peak_kib.max(read_again(world, table, &databases, first.wal, report));
    let peak_kib = peak_kib.max(change(world, table, &databases, report));
    report.memory(table.title, peak_kib);
    world.source.drop(&databases.source);
    for database in [&databases.empty, &databases.loaded] {
        world.target.drop(database);
    }
}

/// Lets each go first in every other turn.
pub fn both<A, B>(turn: usize, one: impl FnOnce() -> A, other: impl FnOnce() -> B) -> (A, B) {
    if turn.is_multiple_of(2) {
        let first = one();
        return (first, other());
    }
    let first = other();
    (one(), first)
}

struct FirstLoad {
    /// Bytes of the target's log.
    wal: i64,
    peak_kib: u64,
}

/// Leaves the loaded database behind as a template for what follows.
fn first_load(
    world: &World,
    table: &Table,
    Databases { source, empty, loaded }: &Databases,
    report: &mut Report,
) -> FirstLoad {
    let (mut turns, mut wal, mut peak_kib) = (Vec::new(), 0, 0);
    for turn in 0..LOADS {
        let by_psql = || {
            world.target.copy("floor", empty);
            world.target.settle();
            floor::load(world, table, source, "floor")
        };
        let by_us = || {
            world.target.copy(loaded, empty);
            world.target.settle();
            let before = world.target.wal();
            let (source, target) = (world.source.url(source), world.target.url(loaded));
            let ran = product::run(&source, &target, table.name);
            (ran, world.target.wal() - before)
        };
        let (floor, (ran, written)) = both(turn, by_psql, by_us);
        wal = written;
        peak_kib = peak_kib.max(ran.peak_kib);
        turns.push((ran.took, floor));
    }
    world.target.drop("floor");
    world.target.run(loaded, "vacuum (analyze)");
    report.against_floor(&format!("{}: first load", table.title), &turns, 1.2);
    FirstLoad { wal, peak_kib }
}

/// Forgets how far it was read and reads everything again.
fn read_again(
    world: &World,
    table: &Table,
    Databases { source, loaded, .. }: &Databases,
    first_wal: i64,
    report: &mut Report,
) -> u64 {
    let touched = format!(
        "select n_tup_ins + n_tup_upd + n_tup_del from pg_stat_user_tables where relname = '{}'",
        table.name
    );
    world.target.copy("again", loaded);
    world.target.run("again", "delete from sync_state where key like 'checkpoint:%'");
    world.target.settle();
    let (wal, rows) = (world.target.wal(), world.target.number("again", &touched));
    let ran = product::run(&world.source.url(source), &world.target.url("again"), table.name);
    // A session's counters are published when it ends, at the latest; the program's have ended.
    std::thread::sleep(Duration::from_millis(100));
    let written = world.target.number("again", &touched) - rows;
    let wal = world.target.wal() - wal;
    world.target.drop("again");
    let title = format!("{}: all read again, all equal", table.title);
    report.rows_written(&title, written, ran.took);
    report.share_of_wal(&title, wal, first_wal, 0.005);
    ran.peak_kib
}

fn change(
    world: &World,
    table: &Table,
    Databases { source, loaded, .. }: &Databases,
    report: &mut Report,
) -> u64 {
    world.source.run(source, table.change);
    world.source.run(source, &format!("vacuum (analyze) {}", table.name));
    world.source.settle();
    let (mut turns, mut peak_kib) = (Vec::new(), 0);
    for turn in 0..CHANGES {
        let by_psql = || {
            world.target.copy("floor", loaded);
            world.target.settle();
            floor::change(world, table, source, "floor")
        };
        let by_us = || {
            world.target.copy("product", loaded);
            world.target.settle();
            let (source, target) = (world.source.url(source), world.target.url("product"));
            product::run(&source, &target, table.name)
        };
        let (floor, ran) = both(turn, by_psql, by_us);
        peak_kib = peak_kib.max(ran.peak_kib);
        turns.push((ran.took, floor));
    }
    let title = format!("{}: 1 % updated, 1 % inserted", table.title);
    report.against_floor(&title, &turns, 1.3);
    let urls = (world.source.url(source), world.target.url("product"));
    let mut quiet = Samples::default();
    for _ in 0..QUIET_TIMES {
        let ran = product::run(&urls.0, &urls.1, table.name);
        assert_eq!(ran.printed, "Nothing had changed.\n");
        quiet.add(ran.took);
    }
    let title = format!("{}: nothing changed, whole program", table.title);
    report.within(&title, &quiet, quiet::LIMIT);
    let compared = world.source.wait(compare::compare(&urls.0, &urls.1, &[table.name]));
    assert!(
        compared.expect("both can be read").iter().all(|table| table.equal),
        "the sides differ"
    );
    for database in ["floor", "product"] {
        world.target.drop(database);
    }
    peak_kib
}

//! Nothing changed: the usual run. How long it takes, whole and in a process that is warm, and how
//! many round trips it needs for how many tables.

use std::time::Duration;

use super::product;
use super::proxy::Proxy;
use super::report::{Report, Samples};
use super::served::Served;
use super::world::World;

/// The repetitions of each; one takes milliseconds.
const TIMES: usize = 21;

/// The numbers of tables that the source has.
const TABLES: [usize; 3] = [1, 10, 100];

/// A run that finds nothing may take so long.
pub const LIMIT: Duration = Duration::from_millis(50);

/// Measures time and round trips by number of tables.
pub fn measure(world: &World, report: &mut Report) {
    let mut trips = Vec::new();
    for tables in TABLES {
        let name = format!("quiet_{tables}");
        for server in [&world.source, &world.target] {
            server.create(&name);
            server.run(&name, &schema(tables));
        }
        world.source.run(&name, &rows(tables));
        let (source, target) = (world.source.url(&name), world.target.url(&name));
        product::run(&source, &target, "");
        let (mut whole, mut warm) = (Samples::default(), Samples::default());
        for _ in 0..TIMES {
            let ran = product::run(&source, &target, "");
            assert_eq!(ran.printed, "Nothing had changed.\n");
            whole.add(ran.took);
        }
        let served = Served::start(product::command(&source, &target, ""));
        served.call();
        for _ in 0..TIMES {
            warm.add(served.call());
        }
        let title = format!("Nothing changed, {}", counted(tables));
        report.within(&format!("{title}: whole program"), &whole, LIMIT);
        report.within(&format!("{title}: warm process"), &warm, LIMIT);
        trips.push(round_trips(world, &source, &target));
    }
    report.round_trips(&TABLES, &trips);
}

/// The round trips of a warm call to source and target.
fn round_trips(world: &World, source: &str, target: &str) -> (u64, u64) {
    let wires = (Proxy::to(world.source.port()), Proxy::to(world.target.port()));
    let served = Served::start(product::command(
        &wires.0.instead_of(world.source.port(), source),
        &wires.1.instead_of(world.target.port(), target),
        "",
    ));
    served.call();
    wires.0.take_trips();
    wires.1.take_trips();
    served.call();
    (wires.0.take_trips(), wires.1.take_trips())
}

fn counted(tables: usize) -> String {
    if tables == 1 { "1 table".to_owned() } else { format!("{tables} tables") }
}

pub fn schema(tables: usize) -> String {
    let create = |n| {
        format!(
            "create table t{n} (id bigint primary key, body text, updated_at timestamptz not null); \
             create index on t{n} (updated_at, id);"
        )
    };
    (1..=tables).map(create).collect()
}

pub fn rows(tables: usize) -> String {
    let fill = |n| {
        format!(
            "insert into t{n} select n, 'row ' || n, timestamptz '2024-01-01' + n * interval '1 hour' \
             from generate_series(1, 1000) as n; analyze t{n};"
        )
    };
    (1..=tables).map(fill).collect()
}

//! A verify of equal sides, against the bare digest of the same rows on both servers at once.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::load::both;
use super::product;
use super::proxy::Proxy;
use super::report::Report;
use super::tables::ORDERS;
use super::world::World;

/// The turns of product and floor; one takes seconds.
const TIMES: usize = 5;

/// The demand: times the floor, and bytes over both wires.
const MOST_RATIO: f64 = 1.3;
const MOST_BYTES: u64 = 100_000;

/// The statement of the floor: the sum of a hash of each row.
const BARE: &str =
    "select count(*), sum(('x' || left(md5(t::text), 16))::bit(64)::int8) from orders t";

/// Measures time and traffic of `syncline verify` over equal tables.
pub fn measure(world: &World, report: &mut Report) {
    let databases = ORDERS.databases();
    (ORDERS.make)(world, &databases);
    let (source, target) =
        (world.source.url(&databases.source), world.target.url(&databases.empty));
    product::run(&source, &target, ORDERS.name);
    world.target.run(&databases.empty, "vacuum (freeze, analyze) orders");
    let mut turns = Vec::new();
    for turn in 0..TIMES {
        let floor = || bare(world, [&source, &target]);
        let (least, duration) = both(turn, floor, || verify(&source, &target));
        turns.push((duration, least));
    }
    report.against_floor(&format!("{}: verify, all equal", ORDERS.title), &turns, MOST_RATIO);
    let wires = (Proxy::to(world.source.port()), Proxy::to(world.target.port()));
    verify(
        &wires.0.instead_of(world.source.port(), &source),
        &wires.1.instead_of(world.target.port(), &target),
    );
    let bytes = wires.0.bytes() + wires.1.bytes();
    report.plain(
        &format!("{}: verify, all equal: bytes over both wires", ORDERS.title),
        format!("{:.1} kB", bytes as f64 / 1e3),
        format!("under {} kB", MOST_BYTES / 1_000),
        bytes < MOST_BYTES,
    );
    world.source.drop(&databases.source);
    world.target.drop(&databases.empty);
}

fn verify(source: &str, target: &str) -> Duration {
    let begun = Instant::now();
    let mut command = product::command(source, target, ORDERS.name);
    let ended = command.arg("verify").output().expect("syncline starts");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    begun.elapsed()
}

/// The bare aggregate on both servers at once.
fn bare(world: &World, urls: [&str; 2]) -> Duration {
    let begun = Instant::now();
    let asked = urls.map(|url| {
        Command::new(&world.psql)
            .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", url])
            .args(["--command", "set timezone = 'UTC'; set jit = off", "--command", BARE])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("psql starts")
    });
    for mut psql in asked {
        assert!(psql.wait().expect("psql ends").success(), "the floor failed");
    }
    begun.elapsed()
}

//! Full syncs between two deployments, each a process of its own, against `pg_dump | psql`: near,
//! far, and once more when nothing has changed. The peer's database is on the server of the
//! sources, the driver's on that of the targets.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::floor;
use super::load::both;
use super::product::{self, Memory, Ran};
use super::proxy::Proxy;
use super::report::{Report, Samples};
use super::served::Served;
use super::tables::{Databases, ORDERS};
use super::world::World;

/// The turns of product and floor; one takes half a minute.
const TURNS: usize = 3;

/// The repetitions of a small copy.
const SMALL_TIMES: usize = 5;

/// Orders that are 10 MB in the tables of a server.
const SMALL: &str = "delete from orders; \
    insert into orders select * from new_orders(1, 24000, '2024-01-01', 31)";

/// The time of a trip between two deployments that are far from each other.
const TRIP: Duration = Duration::from_millis(30);

/// The demands: times the floor, times the first copy, seconds, MiB, and sizes.
const MOST_NEAR: f64 = 1.5;
const MOST_FAR: f64 = 1.3;
const MOST_OF_REPEATED: f64 = 0.6;
const MOST_OF_SMALL: Duration = Duration::from_secs(1);
const MOST_MEMORY_MIB: f64 = 64.0;
const MOST_SPOOL: f64 = 1.1;
const MOST_DISK: f64 = 1.05;

/// Two deployments, of which the peer runs.
struct Deployments {
    there: String,
    /// A database on the target's server.
    here: &'static str,
    address: String,
    /// Stopped when it is dropped.
    _peer: Served,
    memory: Memory,
}

/// Measures time, memory and disk.
pub fn measure(world: &World, report: &mut Report) {
    let databases = Databases {
        source: "there".to_owned(),
        empty: "here_empty".to_owned(),
        loaded: "here".to_owned(),
    };
    (ORDERS.make)(world, &databases);
    world.source.copy("small", "there");
    world.source.run("small", SMALL);
    world.source.run("small", "vacuum full orders");
    small(world, report);
    near(world, report);
    far(world, report);
    beside_export(world, report);
    for database in ["there", "small"] {
        world.source.drop(database);
    }
    for database in ["here", "here_empty", "floor"] {
        world.target.drop(database);
    }
}

fn small(world: &World, report: &mut Report) {
    let deployments = Deployments::start(world, "small", None);
    let (mut pulls, mut pushes) = (Samples::default(), Samples::default());
    for _ in 0..SMALL_TIMES {
        world.target.copy("here", "here_empty");
        pulls.add(deployments.copy(world, "pull").took);
        world.source.run("small", "truncate orders");
        pushes.add(deployments.copy(world, "push").took);
    }
    report.within("10 MB of orders: full sync, pull", &pulls, MOST_OF_SMALL);
    report.within("10 MB of orders: full sync, push", &pushes, MOST_OF_SMALL);
}

fn near(world: &World, report: &mut Report) {
    let deployments = Deployments::start(world, "there", None);
    let (mut turns, mut repeated, mut peak_kib) = (Vec::new(), Vec::new(), 0);
    for turn in 0..TURNS {
        let (least, ran) = both(
            turn,
            || dumped(world, &world.source.url("there")),
            || pulled(world, &deployments),
        );
        turns.push((ran.took, least));
        let again = deployments.copy(world, "pull");
        repeated.push((again.took, ran.took));
        peak_kib = peak_kib.max(ran.peak_kib).max(again.peak_kib);
    }
    let title = format!("{}: full sync, pull, against pg_dump | psql", ORDERS.title);
    report.against_floor(&title, &turns, MOST_NEAR);
    let title = format!("{}: full sync, once more with all rows equal", ORDERS.title);
    report.against_floor(&title, &repeated, MOST_OF_REPEATED);
    let size = |database| {
        world.target.number("postgres", &format!("select pg_database_size('{database}')"))
    };
    let share = size("here") as f64 / size("floor") as f64;
    plain(report, "size of the target after it, against pg_dump | psql", share, MOST_DISK);
    repeat(world, &deployments, report);
    peak_kib = peak_kib.max(deployments.memory.peak_kib());
    let title = format!("{}: full sync, the hungrier of driver and peer", ORDERS.title);
    report.memory_of(&title, peak_kib, MOST_MEMORY_MIB);
}

/// Copies equal rows once more, and looks at what is written and how large the spool gets.
fn repeat(world: &World, deployments: &Deployments, report: &mut Report) {
    const TOUCHED: &str = "select n_tup_ins + n_tup_upd + n_tup_del from pg_stat_user_tables \
        where relname = 'orders'";
    const SPOOL: &str = "select coalesce(max(100 * pg_total_relation_size('full_sync_parts') / \
        nullif((select sum(length(bytes)) from full_sync_parts), 0)), 0)::int8 \
        where (select sum(length(bytes)) from full_sync_parts) > 32 << 20";
    let before = world.target.number("here", TOUCHED);
    let ended = AtomicBool::new(false);
    let (ran, spool) = thread::scope(|scope| {
        let copy = scope.spawn(|| {
            let ran = deployments.copy(world, "pull");
            ended.store(true, Ordering::SeqCst);
            ran
        });
        let mut spool = 0;
        while !ended.load(Ordering::SeqCst) {
            spool =
                spool.max(world.target.number("here", &format!("select coalesce(({SPOOL}), 0)")));
            thread::sleep(Duration::from_millis(100));
        }
        (copy.join().expect("the copy ends"), spool as f64 / 100.0)
    });
    thread::sleep(Duration::from_millis(100));
    let written = world.target.number("here", TOUCHED) - before;
    let title = format!("{}: full sync, all rows equal", ORDERS.title);
    report.rows_written(&title, written, ran.took);
    assert!(spool > 0.0, "the spool was never seen");
    plain(report, "size of the spool, against the compressed rows in it", spool, MOST_SPOOL);
}

fn far(world: &World, report: &mut Report) {
    let wire = Proxy::distant(world.source.port(), TRIP);
    let source = wire.instead_of(world.source.port(), &world.source.url("there"));
    let deployments = Deployments::start(world, "there", Some(TRIP));
    let turn = |turn| {
        let (least, ran) = both(turn, || dumped(world, &source), || pulled(world, &deployments));
        (ran.took, least)
    };
    let turns: Vec<_> = (0..TURNS).map(turn).collect();
    let title = format!("{}: full sync, pull, 30 ms a trip, against pg_dump | psql", ORDERS.title);
    report.against_floor(&title, &turns, MOST_FAR);
}

/// The other way to take rows to a place where nothing but a file arrives.
fn beside_export(world: &World, report: &mut Report) {
    let deployments = Deployments::start(world, "there", None);
    let (by_file, by_copy) = both(
        0,
        || {
            world.target.copy("floor", "here_empty");
            world.target.settle();
            let (source, target) = (world.source.url("there"), world.target.url("floor"));
            let mut export = product::command(&source, &target, "orders");
            export.args(["export", "--format", "sql"]);
            floor::piped(&mut export, &mut floor::psql(world, &world.target.url("floor"), &[]))
        },
        || pulled(world, &deployments),
    );
    let title = format!("{}: full sync, pull, beside export --format sql | psql", ORDERS.title);
    report.told_beside_floor(&title, &[(by_copy.took, by_file)]);
}

fn plain(report: &mut Report, what: &str, share: f64, most: f64) {
    let title = format!("{}: full sync, {what}", ORDERS.title);
    report.plain(&title, format!("{share:.2} x"), format!("at most {most} x"), share <= most);
}

fn dumped(world: &World, source: &str) -> Duration {
    world.target.copy("floor", "here_empty");
    world.target.settle();
    floor::dump(world, source, "floor")
}

fn pulled(world: &World, deployments: &Deployments) -> Ran {
    world.target.copy("here", "here_empty");
    world.target.settle();
    deployments.copy(world, "pull")
}

impl Deployments {
    /// Starts the peer, at a distance if a trip is told.
    fn start(world: &World, there: &str, trip: Option<Duration>) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("a bound address").port();
        let wire = trip.map(|trip| Proxy::distant(port, trip));
        let address = format!("http://127.0.0.1:{}", wire.map_or(port, |wire| wire.port()));
        drop(free);
        let mut command = deployment(&world.source.url(there), &address);
        let peer = Served::start_at(
            {
                command.env("SYNC_PEER_MAY", "both");
                command
            },
            port,
        );
        let memory = peer.memory();
        Self { there: there.to_owned(), here: "here", address, _peer: peer, memory }
    }

    /// Copies all tables, which must succeed.
    fn copy(&self, world: &World, direction: &str) -> Ran {
        let mut command = deployment(&world.target.url(self.here), "http://127.0.0.1:1");
        command.env("SYNC_PEERS", format!("there={}", self.address));
        let ran = product::ran(command.args(["full-sync", direction, "there"]));
        let rows = "select count(*) from orders";
        let counts = [world.source.number(&self.there, rows), world.target.number(self.here, rows)];
        assert_eq!(counts[0], counts[1], "{}", ran.printed);
        ran
    }
}

/// A deployment that has a target alone.
fn deployment(database: &str, address: &str) -> Command {
    let mut command = product::command("", database, "");
    command.env_remove("SOURCE_DATABASE_URL").env_remove("SYNC_TABLES").env("APP_URL", address);
    command.env("SYNC_REGISTRATION_KEY", "a-key-that-this-measurement-alone-knows");
    command
}

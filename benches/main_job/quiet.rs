//! Nothing changed: the usual run. How long it takes, whole and in a process that is warm, and how
//! many round trips it needs for how many tables.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::product;
use super::proxy::Proxy;
use super::report::{Report, Samples};
use super::world::World;

/// How often each is repeated; one takes milliseconds.
const TIMES: usize = 21;

/// How many tables the source has.
const TABLES: [usize; 3] = [1, 10, 100];

/// A run that finds nothing may take so long.
pub const LIMIT: Duration = Duration::from_millis(50);

const TOKEN: &str = "known-to-this-measurement-alone";

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
        let served = Served::start(&source, &target);
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
    let served = Served::start(
        &wires.0.instead_of(world.source.port(), source),
        &wires.1.instead_of(world.target.port(), target),
    );
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

/// `syncline serve`, stopped when dropped.
struct Served {
    process: Child,
    address: String,
    path: String,
}

impl Served {
    fn start(source: &str, target: &str) -> Self {
        let mut command = product::command(source, target, "");
        command.args(["serve", "--port", "0"]).env("SYNC_ADMIN_TOKEN", TOKEN);
        let mut process = command.stderr(Stdio::piped()).spawn().expect("syncline starts");
        let says = process.stderr.take().expect("a pipe was asked for");
        let mut line = String::new();
        BufReader::new(says).read_line(&mut line).expect("it says where it listens");
        let url = line.trim().strip_prefix("Serving http://").expect("it serves");
        let (address, path) = url.split_once('/').expect("an address and a path");
        Self { address: address.to_owned(), path: format!("/{path}"), process }
    }

    /// Calls it as an admin does, and waits for the answer.
    fn call(&self) -> Duration {
        let Self { address, path, .. } = self;
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address).expect("it listens");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {TOKEN}\r\n\
             connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let took = begun.elapsed();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        took
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

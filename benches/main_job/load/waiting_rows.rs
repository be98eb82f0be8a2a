//! Rows that wait for others, against the same rows without the constraint that has them wait:
//! profiles whose users nobody listed, a tree, and a list that moves on by one.
//!
//! The server's own check of a foreign key, a row at a time, costs more than that: psql copies the
//! tree in 95 ms without it and in 559 ms with it. So the rows are checked together.

use super::both;
use crate::product::{self, Ran};
use crate::report::Report;
use crate::world::World;

/// The turns of each pair; one takes about a second.
const TURNS: usize = 7;

/// The most that a constraint may cost, as a multiple of the time without it.
const MOST: f64 = 2.0;

/// A table with and without its constraint.
struct Case {
    title: &'static str,
    /// The tables, on both sides.
    schema: &'static str,
    fill: &'static str,
    /// Loads the target before the run that is measured, and changes the source.
    change: Option<&'static str>,
    /// The constraint of the target.
    constraint: &'static str,
    /// The tables that are listed where the constraint is, and where it is not.
    tables: [&'static str; 2],
    /// A count that the measured run must leave in the target.
    count: (&'static str, i64),
}

const CASES: [Case; 3] = [
    Case {
        title: "100,000 profiles and their users, who are not listed",
        schema: "create schema auth; \
            create table auth.users (id uuid primary key, email text, details jsonb, updated_at timestamptz not null); \
            create table profiles (id uuid primary key, name text, details jsonb, updated_at timestamptz not null)",
        fill: "insert into auth.users select md5(i::text)::uuid, 'user' || i || '@example.com', \
                jsonb_build_object('provider', 'email', 'confirmed', i % 3 = 0), '2026-01-01' from generate_series(1, 100000) i; \
            insert into profiles select id, 'Person ' || email, jsonb_build_object('avatar', 'https://example.com/' || id), \
                timestamptz '2026-01-01' + abs(hashtext(email)) % 9999999 * interval '1 s' from auth.users; \
            create index on profiles (updated_at)",
        change: None,
        constraint: "alter table profiles add foreign key (id) references auth.users",
        tables: ["profiles", "auth.users,profiles"],
        count: ("select count(*) from auth.users join profiles using (id)", 100_000),
    },
    Case {
        title: "A tree of 100,000 folders, read by key",
        schema: "create table folders (id uuid primary key, parent uuid, name text, updated_at timestamptz not null)",
        fill: "insert into folders select md5(i::text)::uuid, \
                case when i > 1 then md5((1 + abs(hashtext(i::text)) % (i - 1))::text)::uuid end, \
                'Folder ' || i, '2026-01-01' from generate_series(1, 100000) i",
        change: None,
        constraint: "alter table folders add foreign key (parent) references folders",
        tables: ["folders", "folders"],
        count: ("select count(*) from folders", 100_000),
    },
    Case {
        title: "A list of 10,000 cards that moves on by one",
        schema: "create table cards (id int primary key, list int not null, pos int not null, title text, \
            updated_at timestamptz not null)",
        fill: "insert into cards select i, 1, i, 'Card ' || i, '2026-01-01' from generate_series(1, 10000) i; \
            create index on cards (updated_at)",
        change: Some(
            "update cards set pos = pos + 1, updated_at = '2026-02-01'; \
            insert into cards values (0, 1, 1, 'First', '2026-02-01')",
        ),
        constraint: "alter table cards add unique (list, pos)",
        tables: ["cards", "cards"],
        count: ("select count(distinct pos) from cards", 10_001),
    },
];

/// Measures each case.
pub fn measure(world: &World, report: &mut Report) {
    for case in &CASES {
        let mut peak_kib = 0;
        let mut turns = Vec::new();
        make(world, case);
        for turn in 0..TURNS {
            let (with, without) =
                both(turn, || run(world, case, "constrained", 0), || run(world, case, "free", 1));
            peak_kib = peak_kib.max(with.peak_kib);
            turns.push((with.took, without.took));
        }
        report.against_floor(case.title, &turns, MOST);
        report.memory(case.title, peak_kib);
        world.source.drop("waiting_source");
        for database in ["constrained", "free", "measured"] {
            world.target.drop(database);
        }
    }
}

/// Makes the source, and both targets as they are before the measured run.
fn make(world: &World, case: &Case) {
    world.source.create("waiting_source");
    world.source.run("waiting_source", case.schema);
    world.source.run("waiting_source", case.fill);
    world.source.run("waiting_source", "vacuum (freeze, analyze)");
    for (name, constraint) in [("constrained", case.constraint), ("free", "")] {
        world.target.create(name);
        world.target.run(name, case.schema);
        world.target.run(name, constraint);
    }
    if let Some(change) = case.change {
        for (name, tables) in ["constrained", "free"].into_iter().zip(case.tables) {
            product::run(&world.source.url("waiting_source"), &world.target.url(name), tables);
            world.target.run(name, "vacuum (analyze)");
        }
        world.source.run("waiting_source", change);
        world.source.run("waiting_source", "vacuum (analyze)");
    }
    world.source.settle();
}

fn run(world: &World, case: &Case, target: &str, tables: usize) -> Ran {
    world.target.copy("measured", target);
    world.target.settle();
    let (source, measured) = (world.source.url("waiting_source"), world.target.url("measured"));
    let ran = product::run(&source, &measured, case.tables[tables]);
    let (query, rows) = case.count;
    assert_eq!(world.target.number("measured", query), rows, "{}: {}", case.title, ran.printed);
    ran
}

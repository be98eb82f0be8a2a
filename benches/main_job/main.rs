//! The main job measured against its floor, both in one run and alternately, so that a busy
//! machine slows both. `cargo bench` prints the table, `-- --write` puts it into
//! `docs/benchmarks.md`, and `-- --check` fails when a demand is missed; words choose sections.

mod contacts;
mod floor;
mod full_sync;
mod function;
mod load;
mod long_rows;
mod product;
mod proxy;
mod quiet;
mod report;
mod rest;
mod served;
mod tables;
mod verify;
mod world;

use std::process::ExitCode;

use report::Report;
use world::World;

/// The sections by the words that choose them; without words all are run.
const SECTIONS: [(&str, Section); 12] = [
    ("orders", |world, report| load::measure(world, &tables::ORDERS, report)),
    ("flights", |world, report| load::measure(world, &tables::FLIGHTS, report)),
    ("long-rows", long_rows::measure),
    ("waiting-rows", load::waiting_rows::measure),
    ("triggers", load::triggers::measure),
    ("verify", verify::measure),
    ("full-sync", full_sync::measure),
    ("contacts", contacts::measure),
    ("quiet", quiet::measure),
    ("rest", rest::measure),
    ("journey", rest::journey::measure),
    ("function", function::measure),
];

type Section = fn(&World, &mut Report);

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let (options, words): (Vec<_>, Vec<_>) =
        arguments.iter().map(String::as_str).partition(|word| word.starts_with("--"));
    let known = |word: &&&str| SECTIONS.iter().any(|(name, _)| *name == **word);
    let usage = || words.iter().find(|word| !known(word)).map(|word| (*word).to_owned());
    let unknown = options.iter().find(|option| !["--check", "--write"].contains(option));
    if let Some(wrong) = unknown.map(|option| (*option).to_owned()).or_else(usage) {
        let names = SECTIONS.map(|(name, _)| name).join(" ");
        eprintln!("{wrong} is none of --check, --write and the sections: {names}");
        return ExitCode::from(2);
    }

    let world = World::start();
    let mut report = Report::new(&world);
    for (name, section) in SECTIONS {
        if words.is_empty() || words.contains(&name) {
            eprintln!("{name}");
            section(&world, &mut report);
        }
    }
    print!("{report}");
    if options.contains(&"--write") {
        report.write();
    }
    match options.contains(&"--check") && report.misses() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

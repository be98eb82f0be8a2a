//! Rows of a megabyte each, which would fill any page that is bounded by rows alone.

use super::product;
use super::report::Report;
use super::world::World;

/// The text is random, so that no compression makes it shorter than it is.
const SCHEMA: &str = "\
    create extension if not exists pgcrypto; \
    create table documents (id integer primary key, body text not null, updated_at timestamptz not null); \
    alter table documents alter body set storage external; \
    create index on documents (updated_at, id)";

const FILL: &str = "\
    insert into documents select n, (select string_agg(encode(gen_random_bytes(1000), 'base64'), '') \
        from generate_series(1, 780) where n > 0), timestamptz '2024-01-01' + n * interval '1 minute' \
    from generate_series(1, 200) as n";

/// Measures the memory of a first load, and of reading everything again.
pub fn measure(world: &World, report: &mut Report) {
    world.source.create("documents");
    world.target.create("documents");
    for server in [&world.source, &world.target] {
        server.run("documents", SCHEMA);
    }
    world.source.run("documents", FILL);
    let (source, target) = (world.source.url("documents"), world.target.url("documents"));
    let first = product::run(&source, &target, "documents");
    world.target.run("documents", "delete from sync_state where key like 'checkpoint:%'");
    let again = product::run(&source, &target, "documents");
    report.memory("200 rows of 1 MB", first.peak_kib.max(again.peak_kib));
    for server in [&world.source, &world.target] {
        server.drop("documents");
    }
}

//! Triggers that both sides have. The floor is the same work in a table without any: what the
//! triggers did on the source need not be done again.

use std::time::Duration;

use super::both;
use crate::report::Report;
use crate::tables::{Databases, ORDERS};
use crate::world::World;
use crate::{floor, product};

/// The turns of product and floor.
const TURNS: usize = 3;

/// The trigger that most tables have.
const STAMP: &str = "create function stamp() returns trigger language plpgsql as \
        $$ begin new.updated_at = coalesce(new.updated_at, now()); return new; end $$; \
    create trigger stamp before update on orders for each row execute function stamp()";

/// A trigger that fires for inserts, too.
const AUDIT: &str = "create table audit (id uuid, at timestamptz default now()); \
    create function audit() returns trigger language plpgsql as \
        $$ begin insert into audit (id) values (new.id); return null; end $$; \
    create trigger audit after insert or update on orders for each row execute function audit()";

/// Measures first loads and a change.
pub fn measure(world: &World, report: &mut Report) {
    let databases = Databases {
        source: "triggers_source".into(),
        empty: "triggers_empty".into(),
        loaded: "triggers_loaded".into(),
    };
    (ORDERS.make)(world, &databases);
    let Databases { source, empty, loaded } = &databases;
    for (title, trigger, most) in [("updates", STAMP, 1.2), ("inserts", AUDIT, 1.2)] {
        world.source.run(source, trigger);
        let turns = turns(world, empty, loaded, trigger, |target| match target {
            "floor" => floor::load(world, &ORDERS, source, target),
            target => run(world, source, target),
        });
        let title = format!("{}: first load, triggers for {title} on both sides", ORDERS.title);
        report.against_floor(&title, &turns, most);
    }
    world.source.run(source, ORDERS.change);
    world.source.run(source, "vacuum (analyze) orders");
    world.target.run(loaded, "vacuum (analyze)");
    let turns = turns(world, loaded, "triggers_product", "select 1", |target| match target {
        "floor" => {
            world.target.run(target, "drop trigger audit on orders");
            floor::change(world, &ORDERS, source, target)
        }
        target => run(world, source, target),
    });
    let title = format!("{}: 1 % updated, 1 % inserted, triggers on both sides", ORDERS.title);
    report.against_floor(&title, &turns, 1.3);
    world.source.drop(source);
    for database in [empty.as_str(), loaded, "triggers_product", "floor"] {
        world.target.drop(database);
    }
}

fn run(world: &World, source: &str, target: &str) -> Duration {
    let (source, target) = (world.source.url(source), world.target.url(target));
    product::run(&source, &target, ORDERS.name).took
}

/// Times of product and floor, each in a new copy of a database. The product's gets the trigger.
fn turns(
    world: &World,
    template: &str,
    product: &str,
    trigger: &str,
    work: impl Fn(&str) -> Duration,
) -> Vec<(Duration, Duration)> {
    let timed = |database: &str, prepare: &str| {
        world.target.copy(database, template);
        world.target.run(database, prepare);
        world.target.settle();
        work(database)
    };
    let turn = |turn| {
        let (floor, ours) = both(turn, || timed("floor", "select 1"), || timed(product, trigger));
        (ours, floor)
    };
    (0..TURNS).map(turn).collect()
}

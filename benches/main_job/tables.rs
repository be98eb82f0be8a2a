//! The measured tables: a million invented orders, and all flights that left New York City in 2013.

use std::io::Read;
use std::pin::pin;

use bytes::Bytes;
use flate2::read::GzDecoder;
use futures_util::SinkExt;
use syncline::demo::data;
use tokio_postgres::NoTls;

use super::world::{Server, World};

const FLIGHTS_CSV_GZ: &[u8] = include_bytes!("../data/flights.csv.gz");

/// A table with rows in the source, and what happens to it later.
pub struct Table {
    pub name: &'static str,
    /// The name of its rows in the report.
    pub title: &'static str,
    pub key: &'static str,
    /// The columns that an upsert sets.
    pub values: &'static [&'static str],
    /// Makes the table in the source, filled, and in the target, empty.
    pub make: fn(&World, &Databases),
    /// Updates one row in a hundred and inserts as many.
    pub change: &'static str,
    /// Before every stamp of the change and after all others.
    pub since: &'static str,
}

/// The names of a table's databases.
pub struct Databases {
    pub source: String,
    /// On the target's server: the tables without rows.
    pub empty: String,
    /// On the target's server: the tables after the first load.
    pub loaded: String,
}

impl Table {
    pub fn databases(&self) -> Databases {
        let name = self.name;
        Databases {
            source: format!("{name}_source"),
            empty: format!("{name}_empty"),
            loaded: format!("{name}_loaded"),
        }
    }
}

/// Realistic widths: 400 bytes a row. One order in five was touched up to ten days after it came
/// in, so that the order of the rows is nearly, but not, that of their stamps.
pub const ORDERS: Table = Table {
    name: "orders",
    title: "1,000,000 orders",
    key: "id",
    values: &[
        "customer",
        "state",
        "amount",
        "weight",
        "tags",
        "details",
        "note",
        "created_at",
        "updated_at",
    ],
    make: |world, databases| {
        let schema = include_str!("orders.sql");
        world.source.create(&databases.source);
        world.source.run(&databases.source, schema);
        let fill = "insert into orders select * from new_orders(1, 1000000, '2024-01-01', 31)";
        world.source.run(&databases.source, fill);
        world.source.run(&databases.source, "vacuum (freeze, analyze) orders");
        world.target.create(&databases.empty);
        world.target.run(&databases.empty, schema);
    },
    change: "\
        update orders set state = 'refunded', amount = amount + 1, \
            updated_at = timestamptz '2025-06-01' + abs(hashtext(id::text)) % 86400 * interval '1 second' \
        where abs(hashtext(id::text)) % 100 = 0; \
        insert into orders select * from new_orders(1000001, 1010000, '2025-06-01', 8.6)",
    since: "2025-05-01",
};

/// The demo's flights with keys, constraints and parents; the parents are in the target already.
pub const FLIGHTS: Table = Table {
    name: "flights",
    title: "336,776 flights",
    key: "time_hour, carrier, flight",
    values: &[
        "year",
        "month",
        "day",
        "dep_time",
        "sched_dep_time",
        "dep_delay",
        "arr_time",
        "sched_arr_time",
        "arr_delay",
        "tailnum",
        "origin",
        "dest",
        "air_time",
        "distance",
        "hour",
        "minute",
        "updated_at",
    ],
    make: |world, databases| {
        for (server, database) in
            [(&world.source, &databases.source), (&world.target, &databases.empty)]
        {
            server.create(database);
            let url = server.url(database);
            server.wait(data::create_schema(&url)).expect("the demo's tables");
            server.wait(data::load(&url)).expect("the demo's data");
            server.run(database, "truncate flights");
        }
        server_side_load(&world.source, &databases.source);
        world.source.run(&databases.source, "vacuum (freeze, analyze) flights");
    },
    change: "\
        update flights set arr_delay = coalesce(arr_delay, 0) + 1, \
            updated_at = timestamptz '2014-06-01' + abs(hashtext(flights::text)) % 86400 * interval '1 second' \
        where abs(hashtext(flights::text)) % 100 = 0; \
        insert into flights \
            select year, month, day, dep_time, sched_dep_time, dep_delay, arr_time, sched_arr_time, \
                arr_delay, carrier, flight + 100000, tailnum, origin, dest, air_time, distance, hour, \
                minute, time_hour, timestamptz '2014-06-01' + abs(hashtext(f::text)) % 86400 * interval '1 second' \
            from flights as f where abs(hashtext(f::text)) % 100 = 1",
    since: "2014-05-01",
};

/// The file in full, stamped as the demo stamps January: by the landing, or the cancellation.
fn server_side_load(server: &Server, database: &str) {
    let mut csv = Vec::new();
    GzDecoder::new(FLIGHTS_CSV_GZ).read_to_end(&mut csv).expect("our own data inflates");
    let end = csv.iter().position(|byte| *byte == b'\n').expect("a header");
    let columns = String::from_utf8_lossy(&csv[..end]).into_owned();
    let url = server.url(database);
    let loaded =
        server.wait(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            tokio::spawn(connection);
            client.batch_execute("create temporary table loaded (like flights)").await?;
            client.batch_execute(
            "alter table loaded alter updated_at drop not null, alter carrier drop not null, \
             alter flight drop not null, alter time_hour drop not null",
        ).await?;
            let copy = format!("copy loaded ({columns}) from stdin (format csv, header)");
            let mut sink = pin!(client.copy_in::<_, Bytes>(&copy).await?);
            sink.send(csv.into()).await?;
            sink.finish().await?;
            let insert = format!(
                "insert into flights ({columns}, updated_at) select {columns}, time_hour \
                 + make_interval(mins => minute + coalesce(dep_delay + air_time, 0) + 20, \
                                 secs => flight % 600 / 10.0) as stamp \
             from loaded order by stamp"
            );
            client.execute(&insert, &[]).await
        });
    assert_eq!(loaded.expect("the flights load"), 336_776);
}

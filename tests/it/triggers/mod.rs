//! Triggers of the target: those that both sides have, those of the target alone, and the right to
//! suppress them. Each is tried over a connection and over an API.

mod firing;
mod rewritten;
mod rights;
mod shared;

use crate::world::over_api::OverApi;
use crate::world::pair::Pair;

/// A table with a stamp.
const ITEMS: &str =
    "create table items (id int primary key, n int, updated_at timestamptz not null);";

/// The trigger that most tables of Supabase's projects have.
const STAMP: &str = "create function stamp() returns trigger language plpgsql as \
        $$ begin new.updated_at = clock_timestamp(); return new; end $$; \
    create trigger stamp before update on items for each row execute function stamp();";

/// Items 1 to 10; item i has n = i.
const TEN: &str = "insert into items select i, i, '2026-01-01' from generate_series(1, 10) i";

/// Two pairs with the same schemas: one over connections, one whose target is behind an API.
async fn pairs(source: &str, target: &str) -> Vec<Pair> {
    let over_wire = Pair::of(source, target).await;
    if OverApi::from_environment().is_some() {
        return vec![over_wire];
    }
    vec![over_wire, Pair::of(source, target).await.over_api(OverApi::Target).await]
}

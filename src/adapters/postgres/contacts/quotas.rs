//! Quotas and leases in the state tables.

use std::time::Duration;

use async_trait::async_trait;

use super::store::PostgresContacts;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::{Parameter, Statement};
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::fault::{Fault, Step};
use crate::jobs::contacts::ports::quotas::{Leases, Quota, Quotas};

/// The entries of a bucket that its window has not passed yet.
const ENTRIES: &str = "unnest(b.taken_at, b.taken) as e (at, n) \
    where e.at > clock_timestamp() - make_interval(secs => $2::bigint)";

#[async_trait]
impl Quotas for PostgresContacts {
    async fn take(&self, quota: &Quota, count: u32) -> Result<Option<Duration>, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let statements = taking(&sql::ident(&self.schema), quota, count);
        let [_, taken, waits] = call.end(call.run_all(Purpose::Write, statements).await)?;
        let milliseconds = |wait: i64| Duration::from_millis(wait.max(1).unsigned_abs());
        let wait = waits.first().and_then(|row| row.get::<Option<i64>>(0)).map(milliseconds);
        Ok(taken.is_empty().then(|| wait.unwrap_or(quota.window)))
    }

    async fn used_count(&self, quota: &Quota) -> Result<u64, Fault> {
        let schema = sql::ident(&self.schema);
        let text = format!(
            "select coalesce(sum(n), 0)::bigint \
             from {schema}.token_bucket_state as b, {ENTRIES} and b.bucket = $1"
        );
        let call = self.pool.call(Step::State, None).await?;
        let counting = Statement::rows(text, [quota.name.into(), seconds(quota.window)]);
        let [rows] = call.end(call.run_all(Purpose::Look, [counting]).await)?;
        Ok(rows.first().map_or(0, |row| row.get::<i64>(0).unsigned_abs()))
    }
}

/// The statements that take from a bucket, in one transaction. The update waits for another one of
/// the same row and then counts anew, so that no two programs take the same.
///
/// An entry gets the end of its 60th of the window as its time: it counts a little too long, never
/// too short, and a bucket has 61 entries at most.
fn taking(schema: &str, quota: &Quota, count: u32) -> [Statement; 3] {
    let values = || -> [Parameter; 4] {
        let most = i64::from(quota.most).into();
        [quota.name.into(), seconds(quota.window), i64::from(count).into(), most]
    };
    let table = format!("{schema}.token_bucket_state");
    let create = format!("insert into {table} (bucket) values ($1) on conflict do nothing");
    let take = format!(
        "update {table} as b set (taken_at, taken) = ( \
             select array_agg(k.at order by k.at), array_agg(k.n order by k.at) from ( \
                 select a.at, sum(a.n)::bigint as n from ( \
                     select e.at, e.n from {ENTRIES} \
                     union all select to_timestamp(ceil(extract(epoch from clock_timestamp())::float8 \
                         * 60 / $2) * $2 / 60), $3) as a \
                 group by a.at) as k) \
         where b.bucket = $1 and $3 + (select coalesce(sum(e.n), 0) from {ENTRIES}) <= $4 \
         returning true"
    );
    let wait = format!(
        "select ceil(extract(epoch from min(s.at) + make_interval(secs => $2::bigint) \
             - clock_timestamp()) * 1000)::bigint \
         from {table} as b, lateral ( \
             select e.at, sum(e.n) over (order by e.at) as until, sum(e.n) over () as total \
             from {ENTRIES}) as s \
         where b.bucket = $1 and s.until >= s.total + $3 - $4"
    );
    [
        Statement::write(create, [quota.name.into()]),
        Statement::rows(take, values()),
        Statement::rows(wait, values()),
    ]
}

fn seconds(time: Duration) -> Parameter {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX).into()
}

#[async_trait]
impl Leases for PostgresContacts {
    async fn hold(
        &self,
        holder: &str,
        names: &[String],
        time: Duration,
    ) -> Result<Vec<String>, Fault> {
        // All programs lock the rows in one order.
        let text = format!(
            "insert into {schema}.contact_leases as l (name, holder, expires_at) \
             select n, $2, clock_timestamp() + make_interval(secs => $3::bigint) \
             from (select distinct unnest($1::text[]) as n order by n) as names \
             on conflict (name) do update \
             set holder = excluded.holder, expires_at = excluded.expires_at \
             where l.holder = excluded.holder or l.expires_at < clock_timestamp() \
             returning l.name",
            schema = sql::ident(&self.schema),
        );
        let values: [Parameter; 3] = [names.to_vec().into(), holder.into(), seconds(time)];
        let call = self.pool.call(Step::State, None).await?;
        let [rows] =
            call.end(call.run_all(Purpose::Write, [Statement::rows(text, values)]).await)?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn release(&self, holder: &str, names: &[String]) -> Result<(), Fault> {
        // Ended ones of programs that died go, too, unless somebody takes one at this moment.
        let text = format!(
            "delete from {schema}.contact_leases where name in ( \
                 select l.name from {schema}.contact_leases as l \
                 where (l.holder = $2 and l.name = any($1)) or l.expires_at < clock_timestamp() \
                 order by l.name for update skip locked)",
            schema = sql::ident(&self.schema),
        );
        let values: [Parameter; 2] = [names.to_vec().into(), holder.into()];
        let call = self.pool.call(Step::State, None).await?;
        let released = call.run_all(Purpose::Write, [Statement::write(text, values)]).await;
        call.end(released.map(|[_]| ()))
    }
}

//! Our state tables over the API: whole rows, each call a statement and a transaction of its own.
//! Every call may reach the database twice and does no more then than once.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{Change, Client, Get, Listed, Verb};
use super::fault::RestError;
use super::query::Query;
use crate::adapters::project::Again;

/// One of the state tables.
#[derive(Clone, Copy)]
pub struct OwnTable<'a> {
    client: &'a Client,
    schema: &'a str,
    name: &'static str,
}

/// The bytes of a list of state rows: as many as an API's list has at most, with room for long
/// checkpoints.
const MOST_BYTES: usize = 16 << 20;

impl<'a> OwnTable<'a> {
    /// A state table in its schema.
    pub fn new(client: &'a Client, schema: &'a str, name: &'static str) -> Self {
        Self { client, schema, name }
    }

    /// All rows that a query finds, in an order that tells each from the others. The API cuts its
    /// lists, so they are asked for until there are as many as it counted.
    pub async fn all<R: DeserializeOwned>(
        &self,
        query: &Query,
        order: &str,
    ) -> Result<Vec<R>, RestError> {
        let mut rows = Vec::new();
        loop {
            let query = query.clone().with("order", order).with("offset", &rows.len().to_string());
            let listed = self.list(&query, true).await?;
            let more: Vec<R> = read(&listed)?;
            let ended = more.is_empty();
            rows.extend(more);
            if ended || listed.total.is_some_and(|total| rows.len() as u64 >= total) {
                return Ok(rows);
            }
        }
    }

    /// The rows of one list, which the query keeps short.
    pub async fn few<R: DeserializeOwned>(&self, query: &Query) -> Result<Vec<R>, RestError> {
        read(&self.list(query, false).await?)
    }

    /// How many rows a query finds.
    pub async fn count(&self, query: &Query) -> Result<u64, RestError> {
        let listed = self.list(&query.clone().with("limit", "1"), true).await?;
        Ok(listed.total.unwrap_or(0))
    }

    /// Writes rows over those with the same values in these columns.
    pub async fn merge(&self, on: &str, rows: &impl Serialize) -> Result<(), RestError> {
        let query = Query::default().with("on_conflict", on);
        let prefer = "resolution=merge-duplicates, return=minimal";
        self.change(Verb::Post, &query, prefer, rows).await.map(drop)
    }

    /// Adds rows unless there are some with the same values in these columns; gives back those that
    /// it added.
    pub async fn add<R: DeserializeOwned>(
        &self,
        on: &str,
        rows: &impl Serialize,
    ) -> Result<Vec<R>, RestError> {
        let query = Query::default().with("on_conflict", on);
        let prefer = "resolution=ignore-duplicates, return=representation";
        read(&self.change(Verb::Post, &query, prefer, rows).await?)
    }

    /// Changes the rows that a query finds; gives them back as they are then.
    pub async fn patch<R: DeserializeOwned>(
        &self,
        query: &Query,
        set: &impl Serialize,
    ) -> Result<Vec<R>, RestError> {
        read(&self.change(Verb::Patch, query, "return=representation", set).await?)
    }

    /// Deletes the rows that a query finds; how many they were.
    pub async fn delete(&self, query: &Query) -> Result<u64, RestError> {
        let prefer = "return=minimal, count=exact";
        Ok(self.change(Verb::Delete, query, prefer, &()).await?.total.unwrap_or(0))
    }

    async fn list(&self, query: &Query, counted: bool) -> Result<Listed, RestError> {
        let Self { client, schema, name } = *self;
        let query = query.as_str();
        let get = Get { schema, table: name, query, counted, most_bytes: MOST_BYTES };
        let listed = client.list(&get).await?;
        // Whole rows alone can be read; what does not fit is a state of nobody's making.
        if listed.cut { Err(RestError::Stranger) } else { Ok(listed) }
    }

    async fn change(
        &self,
        verb: Verb,
        query: &Query,
        prefer: &str,
        rows: &impl Serialize,
    ) -> Result<Listed, RestError> {
        let Self { client, schema, name } = *self;
        let body = Bytes::from(serde_json::to_vec(rows)?);
        let query = query.as_str();
        let again = Again::Harmless;
        client.change(&Change { verb, schema, table: name, query, prefer, body, again }).await
    }
}

fn read<R: DeserializeOwned>(listed: &Listed) -> Result<Vec<R>, RestError> {
    let list = [b"[", &listed.rows[..], b"]"].concat();
    Ok(serde_json::from_slice(&list)?)
}

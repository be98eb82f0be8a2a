//! The stand-in for PostgREST does what was observed of the real one: requests with the status, the
//! headers and the body that they got.

mod gateway;
mod reading;
mod schema;
mod session;
mod trouble;

use serde_json::Value;
use tokio_postgres::Client;

use crate::world::door::client;
use crate::world::postgrest::Standin;
use crate::world::{connect, fresh_database};

const SCHEMA: &str = include_str!("../../../../.ci/clients/postgrest.sql");

/// A project with somebody who calls it.
pub struct Project {
    standin: Standin,
    sql: Client,
    http: reqwest::Client,
}

/// The answer to a call.
#[derive(Debug)]
pub struct Told {
    status: u16,
    range: String,
    applied: String,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Project {
    /// Two authors and three books.
    async fn new() -> Self {
        let database = fresh_database("project").await;
        let sql = connect(&database.url).await.unwrap();
        sql.batch_execute(SCHEMA).await.unwrap();
        let rows = "insert into authors (id, name) values (1, 'Ann'), (2, 'Bob'); \
            insert into books (id, author_id, title, price) values \
            (1, 1, 'One', 0.10), (2, 1, 'Two, \"too\"', 20), (3, null, 'Three', null); \
            create function add_author(id int, name text) returns void language sql \
                as 'insert into authors values (id, name)'";
        sql.batch_execute(rows).await.unwrap();
        Self { standin: Standin::over(&database).await, sql, http: client() }
    }

    /// Calls with the secret key and headers, a line each. A line without a colon is the body.
    async fn ask(&self, call: &str, more: &[&str]) -> Told {
        let key = format!("apikey: {}", self.standin.secret_key());
        self.try_ask(call, &[&[key.as_str()], more].concat()).await.unwrap()
    }

    /// Calls with no key but what the headers say.
    async fn try_ask(&self, call: &str, more: &[&str]) -> reqwest::Result<Told> {
        let (method, target) = call.split_once(' ').unwrap();
        let url = format!("{}{target}", self.standin.url());
        let mut request = self.http.request(method.parse().unwrap(), url);
        for line in more {
            request = match line.split_once(": ").filter(|_| !line.starts_with(['{', '['])) {
                Some((name, value)) => request.header(name, value),
                None => request.header("content-type", "application/json").body((*line).to_owned()),
            };
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let header =
            |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let (range, applied) = (header("content-range"), header("preference-applied"));
        Ok(Told { status, range, applied, headers, body: answer.text().await? })
    }

    /// Asks the database for one text.
    async fn text(&self, query: &str) -> String {
        self.sql.query_one(query, &[]).await.unwrap().get(0)
    }
}

impl Told {
    /// The body as JSON.
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Status and code of a refusal.
    fn refusal(&self) -> (u16, String) {
        let code = self.json()["code"].as_str().unwrap_or_default().to_owned();
        let proxied = self.headers.get("proxy-status").map(|value| value.to_str().unwrap());
        assert_eq!(proxied, Some(format!("PostgREST; error={code}").as_str()), "{self:?}");
        (self.status, code)
    }

    /// A header's text, or nothing.
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

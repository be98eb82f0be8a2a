//! Calls of a project's API: what each carries, which answers pass, and how much of one is read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;

use super::super::fault::RestError;
use super::clock::Clock;
use super::list_limit::ListLimit;
use super::query::{self, Query};
use super::wire;
use crate::adapters::api::http::{Answered, Http, Repeating};
use crate::adapters::api::project::PATIENCE;
use crate::engine::model::meter::Meter;
use crate::engine::model::project::Project;
use crate::engine::model::shape::Shape;

/// A project's API, reached when it is first needed.
pub struct Client {
    http: Http,
    project: Project,
    meter: Meter,
    clock: Clock,
    /// The length that its lists are cut at.
    pub list_limit: ListLimit,
}

/// The rows that were answered.
pub struct Listed {
    /// The list's inside, without its brackets: a page of JSON.
    pub rows: Bytes,
    /// There were more bytes, which were not read; the last row may not be whole.
    pub cut: bool,
    /// How many rows there are altogether, where that was asked for.
    pub total: Option<u64>,
}

/// What is read of a table.
pub struct Get<'a> {
    /// The table.
    pub shape: &'a Shape,
    /// Its columns and rows.
    pub query: &'a Query,
    /// Whether all rows that match are to be counted.
    pub counted: bool,
    /// The bytes after which no more is read, one row at least.
    pub most_bytes: usize,
}

impl Client {
    /// Calls are counted by the meter, each attempt.
    pub fn new(project: Project, meter: Meter) -> Self {
        let http = Http::showing_a_key_to(project.api());
        Self { http, project, meter, clock: Clock::default(), list_limit: ListLimit::default() }
    }

    /// The project that is called.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// The time there, by its last answer.
    pub fn now(&self) -> Timestamp {
        self.clock.now(Timestamp::now())
    }

    /// Reads rows of a table.
    pub async fn list(&self, get: &Get<'_>) -> Result<Listed, RestError> {
        let Get { shape, query, counted, most_bytes } = *get;
        if shape.filter.is_some() {
            return Err(RestError::NoConditions);
        }
        let table = query::encoded(shape.table.name());
        let url = format!("{}/{table}?{}", self.project.api(), query.as_str());
        let request = self.http.client().get(url).header("Accept", "application/json");
        let prefer = if counted { "timezone=UTC, count=exact" } else { "timezone=UTC" };
        let request = self.shown(request, shape.table.schema()).header("Prefer", prefer);
        // In a row that is larger than a page, each byte is looked at once.
        let enough = |body: &[u8], known: usize| {
            let unseen = if known > most_bytes { known } else { 0 };
            body.len() > most_bytes && body[unseen..].contains(&b'\n')
        };
        let answered = self.send(request, &enough).await?;
        let total = total(&answered);
        let Answered { body, cut, .. } = answered;
        let rows = wire::inside(body, cut).ok_or(RestError::Stranger)?;
        Ok(Listed { rows, cut, total })
    }

    /// What the API says of a schema and its tables.
    pub async fn root(&self, schema: &str) -> Result<Bytes, RestError> {
        let request = self.http.client().get(format!("{}/", self.project.api()));
        let request = request.header("Accept", "application/openapi+json");
        let request = self.shown(request, schema);
        Ok(self.send(request, &|_, _| false).await?.body)
    }

    /// The role that the key names, where it names one.
    pub fn role(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Claims {
            role: String,
        }
        let claims = self.project.key().expose().split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
        serde_json::from_slice::<Claims>(&claims).ok().map(|of| of.role)
    }

    /// A key of the new kind is no token: as a bearer it would be read as a broken one.
    fn shown(&self, request: RequestBuilder, schema: &str) -> RequestBuilder {
        let secret = |text: &str| {
            let mut value = HeaderValue::from_str(text).expect("a key is of printable letters");
            value.set_sensitive(true);
            value
        };
        let key = self.project.key().expose();
        let request = request.header("apikey", secret(key));
        let request = match self.project.has_token() {
            true => request.header("Authorization", secret(&format!("Bearer {key}"))),
            false => request,
        };
        request.header("Accept-Profile", schema.as_bytes())
    }

    async fn send(
        &self,
        request: RequestBuilder,
        suffices: &(dyn Fn(&[u8], usize) -> bool + Sync),
    ) -> Result<Answered, RestError> {
        let how = Repeating {
            patience: PATIENCE,
            passes: &|answered| {
                !answered.status.is_success() && RestError::of(answered).passes_by_itself()
            },
            after_a_cut: true,
            counts: &|| self.meter.count(),
            suffices,
        };
        let answered = self.http.repeat(request, &how).await?;
        self.clock.answered(&answered.headers, Timestamp::now());
        if answered.status.is_success() { Ok(answered) } else { Err(RestError::of(&answered)) }
    }
}

/// How many rows there are altogether, where that was asked for.
fn total(answered: &Answered) -> Option<u64> {
    let range = answered.headers.get("Content-Range")?;
    range.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
}

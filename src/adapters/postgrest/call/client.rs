//! Calls of a project's API: what each carries, which answers are asked for again, and how much of
//! an answer is read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::RequestBuilder;

use super::super::fault::RestError;
use super::clock::Clock;
use super::list_limit::ListLimit;
use super::query::{self, Query};
use super::rows::Rows;
use crate::adapters::api::http::{Http, HttpAnswer, RepeatRules};
use crate::adapters::api::project::{PATIENCE, is_restarting, with_key};
use crate::engine::model::meter::Meter;
use crate::engine::model::project::Project;
use crate::engine::model::shape::Shape;

/// A project's API, reached when it is first needed.
pub struct Client {
    http: Http,
    project: Project,
    meter: Meter,
    clock: Clock,
    /// The length at which the API cuts its lists.
    pub list_limit: ListLimit,
}

/// A request for rows of a table.
pub struct ListRequest<'a> {
    /// The table.
    pub shape: &'a Shape,
    /// The columns, the conditions and the order.
    pub query: &'a Query,
    /// Asks for the number of all rows that match, too.
    pub counted: bool,
    /// The bytes after which no more rows are taken, one row at least.
    pub most_bytes: usize,
}

impl Client {
    /// Makes a client that counts each attempt of a call in the meter.
    pub fn new(project: Project, meter: Meter) -> Self {
        Self {
            http: Http::of_project(&project),
            project,
            meter,
            clock: Clock::default(),
            list_limit: ListLimit::default(),
        }
    }

    /// The project that is called.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// The time of the API's clock, by the date of its last answer.
    pub fn now(&self) -> Timestamp {
        self.clock.now(Timestamp::now())
    }

    /// Reads rows of a table. A condition in SQL is refused: the API evaluates none.
    pub async fn list(&self, list: &ListRequest<'_>) -> Result<Rows, RestError> {
        let ListRequest { shape, query, counted, most_bytes } = *list;
        if shape.filter.is_some() {
            return Err(RestError::NoConditions);
        }
        let table = query::encode(shape.table.name());
        let url = format!("{}/{table}?{}", self.project.api(), query.as_str());
        let prefer = if counted { "timezone=UTC, count=exact" } else { "timezone=UTC" };
        let request = self.http.client().get(url);
        let request = request.header("Accept", "application/json").header("Prefer", prefer);
        // Each byte of a row that is larger than a page is looked at once.
        let is_enough = |body: &[u8], known: usize| {
            let unseen = if known > most_bytes { known } else { 0 };
            body.len() > most_bytes && body[unseen..].contains(&b'\n')
        };
        let answer = self.send(request, shape.table.schema(), &is_enough).await?;
        Rows::read(answer, most_bytes)
    }

    /// Reads the API's description of a schema and its tables.
    pub async fn describe(&self, schema: &str) -> Result<Bytes, RestError> {
        let request = self.http.client().get(format!("{}/", self.project.api()));
        let request = request.header("Accept", "application/openapi+json");
        Ok(self.send(request, schema, &|_, _| false).await?.body)
    }

    /// The role that the key names, where it is a token.
    pub fn role(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Claims {
            role: String,
        }
        let claims = self.project.key().expose().split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
        serde_json::from_slice::<Claims>(&claims).ok().map(|claims| claims.role)
    }

    async fn send(
        &self,
        request: RequestBuilder,
        schema: &str,
        is_enough: &(dyn Fn(&[u8], usize) -> bool + Sync),
    ) -> Result<HttpAnswer, RestError> {
        let request = with_key(request, &self.project).header("Accept-Profile", schema.as_bytes());
        let refusal =
            |answer: &HttpAnswer| RestError::from_answer(answer, self.project.key_setting());
        let rules = RepeatRules {
            patience: PATIENCE,
            may_pass: &|answer| !answer.status.is_success() && refusal(answer).passes_by_itself(),
            restarts: &is_restarting,
            after_cut: true,
            count: &|| self.meter.count(),
            is_enough,
        };
        let answer = self.http.repeat(request, &rules).await?;
        self.clock.set(&answer.headers, Timestamp::now());
        if answer.status.is_success() { Ok(answer) } else { Err(refusal(&answer)) }
    }
}

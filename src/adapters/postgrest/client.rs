//! Calls of a project's API: what each carries, which answers pass, and how much of one is read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;

use super::fault::RestError;
use super::floor::Clock;
use super::wire;
use crate::adapters::http::{Answered, Http, Repeating};
use crate::adapters::project::{Again, PATIENCE};
use crate::engine::model::meter::Meter;
use crate::engine::model::project::Project;

/// A project's API, reached when it is first needed.
pub struct Client {
    http: Http,
    project: Project,
    meter: Meter,
    clock: Clock,
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
    /// The table's schema.
    pub schema: &'a str,
    /// Its name.
    pub table: &'a str,
    /// What follows the question mark.
    pub query: &'a str,
    /// Whether all rows that match are to be counted.
    pub counted: bool,
    /// The bytes after which no more is read, one row at least.
    pub most_bytes: usize,
}

/// How rows of a table are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// New rows, or rows merged into those that are there, as the preferences say.
    Post,
    /// Those that the filters find are changed.
    Patch,
    /// Those that the filters find are deleted.
    Delete,
}

/// What is written of a table.
pub struct Change<'a> {
    /// How.
    pub verb: Verb,
    /// The table's schema.
    pub schema: &'a str,
    /// Its name.
    pub table: &'a str,
    /// What follows the question mark.
    pub query: &'a str,
    /// What is preferred beside the time zone.
    pub prefer: &'a str,
    /// The rows, or what is set; nothing of rows that are deleted.
    pub body: Bytes,
    /// Whether a call that was cut, or answered with what passes, is made again. Rows are written
    /// under the lease, which is to be looked at before.
    pub again: Again,
}

impl Client {
    /// Calls are counted by the meter, each attempt.
    pub fn new(project: Project, meter: Meter) -> Self {
        let http = Http::showing_a_key_to(project.api());
        Self { http, project, meter, clock: Clock::default() }
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
        let Get { schema, table, query, counted, most_bytes } = *get;
        let url = format!("{}/{}?{query}", self.project.api(), super::query::encoded(table));
        let request = self.http.client().get(url).header("Accept", "application/json");
        let prefer = if counted { "timezone=UTC, count=exact" } else { "timezone=UTC" };
        let request = self.shown(request, schema).header("Prefer", prefer);
        // In a row that is larger than a page, each byte is looked at once.
        let enough = |body: &[u8], known: usize| {
            let unseen = if known > most_bytes { known } else { 0 };
            body.len() > most_bytes && body[unseen..].contains(&b'\n')
        };
        let answered = self.send(request, Again::Harmless, &enough).await?;
        let total = total(&answered);
        let Answered { body, cut, .. } = answered;
        let rows = wire::inside(body, cut).ok_or(RestError::Stranger)?;
        Ok(Listed { rows, cut, total })
    }

    /// Writes rows of a table; gives back those that were asked for, and their number where that
    /// was.
    pub async fn change(&self, change: &Change<'_>) -> Result<Listed, RestError> {
        let Change { verb, schema, table, query, prefer, ref body, again } = *change;
        let url = format!("{}/{}?{query}", self.project.api(), super::query::encoded(table));
        let request = match verb {
            Verb::Post => self.http.client().post(url),
            Verb::Patch => self.http.client().patch(url),
            Verb::Delete => self.http.client().delete(url),
        };
        let request = request
            .header("Accept", "application/json")
            .header("Content-Profile", schema.as_bytes())
            .header("Prefer", format!("timezone=UTC, {prefer}"));
        let request = match verb {
            Verb::Delete => request,
            Verb::Post | Verb::Patch => {
                request.header("Content-Type", "application/json").body(body.clone())
            }
        };
        let answered = self.send(self.shown(request, schema), again, &|_, _| false).await?;
        let total = total(&answered);
        let rows = match answered.body.is_empty() {
            true => Bytes::new(),
            false => wire::inside(answered.body, false).ok_or(RestError::Stranger)?,
        };
        Ok(Listed { rows, cut: false, total })
    }

    /// What the API says of a schema and its tables.
    pub async fn root(&self, schema: &str) -> Result<Bytes, RestError> {
        let request = self.http.client().get(format!("{}/", self.project.api()));
        let request = request.header("Accept", "application/openapi+json");
        let request = self.shown(request, schema);
        Ok(self.send(request, Again::Harmless, &|_, _| false).await?.body)
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
        again: Again,
        suffices: &(dyn Fn(&[u8], usize) -> bool + Sync),
    ) -> Result<Answered, RestError> {
        let how = Repeating {
            patience: PATIENCE,
            passes: &|answered| {
                again == Again::Harmless
                    && !answered.status.is_success()
                    && RestError::of(answered).passes_by_itself()
            },
            after_a_cut: again == Again::Harmless,
            counts: &|| self.meter.count(),
            suffices,
        };
        let answered = self.http.repeat(request, &how).await?;
        self.clock.answered(&answered.headers, Timestamp::now());
        if answered.status.is_success() { Ok(answered) } else { Err(RestError::of(&answered)) }
    }
}

/// How many rows there are altogether, or were written, where that was asked for.
fn total(answered: &Answered) -> Option<u64> {
    let range = answered.headers.get("Content-Range")?;
    range.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
}

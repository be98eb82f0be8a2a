//! PostgREST itself: which request goes where, and what all of them have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use axum::http::Method;
use tokio_postgres::Error;

use super::answer::Answer;
use super::cache::Cache;
use super::endpoints::{call, openapi, read};
use super::keys::Keys;
use super::refusal::Refusal;
use super::request::{ApiRequest, Form};
use super::session::{Outcome, Pool, Work};
use super::{Options, connect, text};

/// PostgREST over one database.
pub struct Server {
    /// The options of the project.
    pub options: Options,
    /// The keys of the project.
    pub keys: Keys,
    /// The project takes no writes.
    pub is_read_only: AtomicBool,
    pool: Pool,
    cache: RwLock<Arc<Cache>>,
}

impl Server {
    /// A server that knows the schema as it is now. The URL is that of the role `authenticator`.
    pub async fn over(url: String, options: Options) -> Result<Self, Error> {
        let server = Self {
            options,
            keys: Keys::new(),
            is_read_only: AtomicBool::new(false),
            pool: Pool::new(url),
            cache: RwLock::default(),
        };
        server.reload().await?;
        Ok(server)
    }

    /// Returns the URL of the database for the role `authenticator`.
    pub fn database(&self) -> &str {
        &self.pool.url
    }

    /// Looks the schema over again.
    pub async fn reload(&self) -> Result<(), Error> {
        let client = connect(&self.pool.url).await?;
        let loaded = Cache::load(&client, &self.options.schemas).await?;
        *self.cache.write().expect("no holder panics") = Arc::new(loaded);
        Ok(())
    }

    /// The schema as it was last seen.
    pub fn cache(&self) -> Arc<Cache> {
        Arc::clone(&self.cache.read().expect("no holder panics"))
    }

    /// Answers a request.
    pub async fn answer(&self, request: &ApiRequest) -> Answer {
        self.route(request).await.unwrap_or_else(Refusal::answer)
    }

    async fn route(&self, request: &ApiRequest) -> Result<Answer, Refusal> {
        let segments: Vec<&str> = request.path.split('/').skip(1).collect();
        let method = &request.method;
        let unknown = || Refusal::unknown(format!("{method} of {}", request.path));
        let reads = matches!(*method, Method::GET | Method::HEAD);
        match segments[..] {
            [""] if *method == Method::GET => openapi::describe(self, request).await,
            ["rpc", name] if reads || *method == Method::POST => {
                call::call(self, request, name).await
            }
            [""] => Err(unknown()),
            [name] if reads => read::read(self, request, name).await,
            [_] | ["rpc", _] => Err(unknown()),
            _ => Err(Refusal::new(404, "PGRST125", "Invalid path specified in request URL")),
        }
    }

    /// A request's work: one statement, in a transaction with the settings of the request.
    pub fn work<'a>(
        &self,
        request: &'a ApiRequest,
        schema: &str,
        writes: bool,
        statement: String,
        body: Option<String>,
    ) -> Work<'a> {
        let schemas = [schema, "public", "extensions"].map(text::name).join(", ");
        let timeout = match request.identity.role.as_str() {
            "anon" => "3s".to_owned(),
            _ => format!("{}ms", self.options.statement_timeout.as_millis()),
        };
        let mut settings = vec![
            ("search_path", schemas),
            ("statement_timeout", timeout),
            ("request.method", request.method.to_string()),
            ("request.path", request.path.clone()),
        ];
        settings.extend(request.prefer.timezone.clone().map(|zone| ("timezone", zone)));
        let writes = writes && !self.is_read_only.load(Ordering::SeqCst);
        Work { identity: &request.identity, writes, settings, statement, body }
    }

    /// Runs the work. One object is no answer where there are none or many.
    pub async fn run(
        &self,
        request: &ApiRequest,
        work: Work<'_>,
        form: Form,
        check: impl Fn(&Outcome) -> Result<(), Refusal>,
    ) -> Result<Outcome, Refusal> {
        if request.pairs.iter().any(|(key, value)| key.contains('\0') || value.contains('\0')) {
            return Err(Refusal::unknown("a NUL in the query string"));
        }
        let check = |outcome: &Outcome| {
            if form == Form::Object && outcome.rows != 1 {
                let message = "Cannot coerce the result to a single JSON object";
                let details = format!("The result contains {} rows", outcome.rows);
                return Err(Refusal::new(406, "PGRST116", message).details(details));
            }
            check(outcome)
        };
        self.pool.run(&work, check).await
    }
}

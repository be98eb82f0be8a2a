//! A local MailerLite with a clock that stands, and a client of its API.

use std::time::{Duration, SystemTime};

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use syncline::demo::mailerlite::{Act, LocalMailerLite, Options, Seed, Status, Variants};

use crate::world::door::client;

/// An account at MailerLite.
pub struct Account {
    pub mailerlite: LocalMailerLite,
    client: Client,
}

impl Account {
    /// Opens an account whose clock stands at 2026-03-01 00:00:00.
    pub async fn open() -> Self {
        Self::with(Self::options()).await
    }

    /// Opens one with these options.
    pub async fn with(options: Options) -> Self {
        let mailerlite = LocalMailerLite::start(options).await.unwrap();
        Self { mailerlite, client: client() }
    }

    /// Opens one with these choices where MailerLite's behaviour is not documented.
    pub async fn with_variants(change: impl FnOnce(&mut Variants)) -> Self {
        let mut variants = Variants::default();
        change(&mut variants);
        Self::with(Self::options().with_variants(variants)).await
    }

    pub fn options() -> Options {
        let morning = SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_323_200);
        Options::stepped(morning)
    }

    /// A call without a token.
    pub fn stranger(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("{}/api/{path}", self.mailerlite.url());
        self.client.request(method.parse().unwrap(), url)
    }

    /// A call whose answer is of interest as a whole.
    pub async fn send(&self, method: &str, path: &str) -> Response {
        let call = self.stranger(method, path).bearer_auth(self.mailerlite.token());
        call.send().await.unwrap()
    }

    /// Status and JSON of a call; null where an answer has no body.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.try_call(method, path, body).await.unwrap()
    }

    /// Such a call where the connection may be lost.
    pub async fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Value,
    ) -> Result<(u16, Value), reqwest::Error> {
        let mut call = self.stranger(method, path).bearer_auth(self.mailerlite.token());
        if !body.is_null() {
            call = call.json(&body);
        }
        let answer = call.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        let body = if text.is_empty() { "null" } else { &text };
        Ok((status, serde_json::from_str(body).unwrap()))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call("POST", path, body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.call("PUT", path, body).await
    }

    /// Adds an active person by a POST; the id.
    pub async fn add(&self, email: &str) -> String {
        let (status, answer) = self.post("subscribers", json!({ "email": email })).await;
        assert_eq!(status, 201, "{answer}");
        text(&answer["data"]["id"])
    }

    /// Seeds people with these addresses.
    pub fn seed(&self, emails: &[&str]) {
        self.mailerlite.seed(emails.iter().map(|email| Seed::new(*email)));
    }

    pub fn id(&self, email: &str) -> String {
        self.mailerlite.person(email).unwrap().id.to_string()
    }

    pub fn status(&self, email: &str) -> Status {
        self.mailerlite.person(email).unwrap().status
    }

    pub fn act(&self, email: &str, act: Act) {
        self.mailerlite.act(email, act).unwrap();
    }

    pub async fn seconds(&self, seconds: u64) {
        self.mailerlite.advance(Duration::from_secs(seconds)).await;
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The addresses of a page.
pub fn emails(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|row| row["email"].as_str().unwrap()).collect()
}

/// The sentence that refuses what the local MailerLite has not.
pub fn lacks(what: &str) -> Value {
    let text = format!("the local MailerLite has no {what}; docs/cli.md says what it has");
    json!({ "message": text })
}

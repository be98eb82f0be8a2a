//! A local QStash with a destination and a client of its API.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use syncline::demo::Signer;
use syncline::demo::qstash::{LocalQStash, Options};

use super::receiver::{ReceivedRequest, Receiver};
use crate::world::door::{client, status_and_json};

/// 2026-03-01T00:00:00Z.
pub fn morning() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_323_200)
}

/// A local QStash, a destination, and a client.
pub struct Post {
    pub qstash: LocalQStash,
    pub receiver: Receiver,
    client: Client,
}

impl Post {
    /// Opens them with a clock that stands at the morning.
    pub async fn open() -> Self {
        Self::with(Options::stepped(morning())).await
    }

    /// Opens them with these options of QStash.
    pub async fn with(options: Options) -> Self {
        let qstash = LocalQStash::start(options).await.unwrap();
        Self { qstash, receiver: Receiver::open().await, client: client() }
    }

    /// A call of the API without a token.
    pub fn stranger(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("{}/v2/{path}", self.qstash.url());
        self.client.request(method.parse().unwrap(), url)
    }

    /// A call of the API.
    pub fn call(&self, method: &str, path: &str) -> RequestBuilder {
        self.stranger(method, path).bearer_auth(self.qstash.token())
    }

    /// Status and JSON of a call; null where there is no body.
    pub async fn asked(&self, method: &str, path: &str) -> (u16, Value) {
        let answer = self.call(method, path).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        match text.as_str() {
            "" => (status, Value::Null),
            text => (status, serde_json::from_str(text).unwrap()),
        }
    }

    /// Publishes to a path of the destination.
    pub async fn publish(&self, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let call = self.call("POST", &format!("publish/{}{path}", self.receiver.url));
        let call = headers.iter().fold(call, |call, (name, value)| call.header(*name, *value));
        status_and_json(call.body("{\"a\": 1}").send().await.unwrap()).await
    }

    /// Schedules calls of a path of the destination, and gives the id.
    pub async fn schedule(&self, path: &str, cron: &str, headers: &[(&str, &str)]) -> String {
        let call = self.call("POST", &format!("schedules/{}{path}", self.receiver.url));
        let call = headers.iter().fold(call, |call, (name, value)| call.header(*name, *value));
        let call = call.header("Upstash-Cron", cron).body("{}");
        let (status, answer) = status_and_json(call.send().await.unwrap()).await;
        assert_eq!(status, 200, "{answer}");
        answer["scheduleId"].as_str().unwrap().to_owned()
    }
}

/// The claims of a delivery, if this key signed it.
pub fn claims(arrived: &ReceivedRequest, key: &str) -> Option<Value> {
    let token = arrived.header("upstash-signature");
    let decoded = |part| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let (header, claims) = (decoded(parts[0]), decoded(parts[1]));
    let is_ours = Signer::new(key).sign_claims(&header, &claims) == token;
    is_ours.then(|| serde_json::from_str(&claims).unwrap())
}

//! The terms on which a message is delivered, read from the `Upstash-` headers of a publish, a
//! batch item or a schedule.

use super::spans::span;
use super::{HeaderLookup, Millis, Refusal, expression};

/// The default of the time that a destination has to answer, and the free plan's limit.
const LONGEST_ANSWER: Millis = 15 * 60 * 1000;

/// The default number of retries.
const RETRIES: u32 = 3;

/// The terms of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The method of the delivery.
    pub method: String,
    /// The delay between the publish, or a schedule's tick, and the first attempt.
    pub delay: Option<Millis>,
    /// The number of times that a failed delivery is tried again.
    pub retries: u32,
    /// The expression for the time between attempts.
    pub retry_delay: Option<String>,
    /// The longest time that one attempt may take.
    pub timeout: Millis,
    /// The callback after each attempt.
    pub callback: Option<Callback>,
    /// The callback after the last failure.
    pub failure_callback: Option<Callback>,
    /// The id by which QStash recognises a duplicate of the message.
    pub deduplication_id: Option<String>,
    /// The flow control, which limits deliveries at the same time.
    pub flow: Option<FlowTerms>,
    /// The headers for the destination, with names as in `Content-Type`.
    pub headers: Vec<(String, String)>,
    /// The labels by which the message is found in the log.
    pub labels: Vec<String>,
}

/// A message that carries the outcome of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The destination.
    pub url: String,
    /// The terms of its own delivery.
    pub terms: Box<Terms>,
}

/// The flow control of all messages with the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowTerms {
    /// The key.
    pub key: String,
    /// The most deliveries at the same time.
    pub parallelism: u32,
}

impl Terms {
    /// Reads the headers of a call, or refuses them as the service would. A header for QStash that
    /// is unknown here is refused as well: its sender would believe that it has its effect.
    pub fn read(headers: &[(String, String)]) -> Result<Self, Refusal> {
        if let Some((name, _)) = headers.iter().find(|(name, _)| !is_known_header(name)) {
            return Err(Refusal::lacks(&format!("header {}", canonical(name))));
        }
        let mut terms = Self::for_prefix("upstash-", headers, RETRIES)?;
        let id = headers.value("upstash-deduplication-id").filter(|id| !id.is_empty());
        terms.deduplication_id = id.map(str::to_owned);
        terms.flow = flow(headers)?;
        terms.callback = Callback::read("upstash-callback", headers, terms.retries)?;
        terms.failure_callback =
            Callback::read("upstash-failure-callback", headers, terms.retries)?;
        let labels = headers.value("upstash-label").unwrap_or_default().split(',');
        terms.labels = labels.map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
        if let Some(value) = headers.value("content-type") {
            terms.headers.push(("Content-Type".to_owned(), value.to_owned()));
        }
        Ok(terms)
    }

    /// Reads the headers that messages and callbacks have in common, each under its own prefix.
    fn for_prefix(
        prefix: &str,
        headers: &[(String, String)],
        retries: u32,
    ) -> Result<Self, Refusal> {
        let header = |name: &str| headers.value(&format!("{prefix}{name}"));
        let method = header("method").unwrap_or("POST").to_uppercase();
        if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
            return Err(Refusal::bad(format!("invalid method {method}")));
        }
        let retry_delay = header("retry-delay").map(str::to_owned);
        if let Some(text) = &retry_delay {
            expression::evaluate(text, 0).map_err(|error| {
                Refusal::bad(format!("invalid retry delay expression: {error}"))
            })?;
        }
        let timeout = header("timeout").map(|text| length("timeout", text)).transpose()?;
        let mut terms = Self {
            method,
            delay: header("delay").map(|text| length("delay", text)).transpose()?,
            retries: header("retries")
                .map_or(Ok(retries), |text| number("Upstash-Retries", text))?,
            retry_delay,
            timeout: timeout.unwrap_or(LONGEST_ANSWER).min(LONGEST_ANSWER),
            callback: None,
            failure_callback: None,
            deduplication_id: None,
            flow: None,
            headers: Vec::new(),
            labels: Vec::new(),
        };
        let forwarded = format!("{prefix}forward-");
        for (name, value) in headers {
            if let Some(name) = name.to_lowercase().strip_prefix(&forwarded) {
                terms.headers.push((canonical(name), value.clone()));
            }
        }
        Ok(terms)
    }

    /// The timeout, if the message sets one.
    pub fn explicit_timeout(&self) -> Option<Millis> {
        Some(self.timeout).filter(|timeout| *timeout != LONGEST_ANSWER)
    }
}

impl Callback {
    fn read(
        name: &str,
        headers: &[(String, String)],
        retries: u32,
    ) -> Result<Option<Self>, Refusal> {
        let Some(url) = headers.value(name) else {
            return Ok(None);
        };
        check_url(url).map_err(|error| Refusal::bad(format!("invalid callback url: {error}")))?;
        let terms = Terms::for_prefix(&format!("{name}-"), headers, retries)?;
        Ok(Some(Self { url: url.to_owned(), terms: Box::new(terms) }))
    }
}

/// Checks the URL of a destination. The error has the service's words.
pub fn check_url(url: &str) -> Result<(), String> {
    let lower = url.get(..8).unwrap_or(url).to_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return Err("endpoint has invalid scheme, add http:// or https://".to_owned());
    }
    match url::Url::parse(url) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("endpoint is not a URL: {error}")),
    }
}

/// Says whether a header, by its name in small letters, is a setting of QStash.
pub fn is_setting(name: &str) -> bool {
    name.starts_with("upstash-")
}

/// Says whether a header is known here, or is no setting of QStash. Clients describe themselves in
/// headers of telemetry, which change nothing.
fn is_known_header(name: &str) -> bool {
    const MESSAGE_HEADERS: [&str; 8] = [
        "callback",
        "failure-callback",
        "deduplication-id",
        "delay",
        "flow-control-key",
        "flow-control-value",
        "label",
        "telemetry-",
    ];
    const COMMON_HEADERS: [&str; 5] = ["method", "retries", "retry-delay", "timeout", "forward-"];
    let is_known = |known: &[&str], name: &str| {
        known
            .iter()
            .any(|known| *known == name || (known.ends_with('-') && name.starts_with(known)))
    };
    let name = name.to_lowercase();
    let Some(name) = name.strip_prefix("upstash-") else {
        return true;
    };
    let callback_header =
        ["callback-", "failure-callback-"].into_iter().find_map(|prefix| name.strip_prefix(prefix));
    match callback_header {
        Some(name) => is_known(&COMMON_HEADERS, name),
        None => is_known(&COMMON_HEADERS, name) || is_known(&MESSAGE_HEADERS, name),
    }
}

fn flow(headers: &[(String, String)]) -> Result<Option<FlowTerms>, Refusal> {
    let value = headers.value("upstash-flow-control-value");
    let Some(key) = headers.value("upstash-flow-control-key") else {
        return match value {
            None => Ok(None),
            Some(_) => Err(Refusal::bad("flow control value without a key")),
        };
    };
    let value = value.unwrap_or_default().trim();
    let parallelism = match value.strip_prefix("parallelism=") {
        Some(count) if !count.contains(',') => number("parallelism", count)?,
        _ => return Err(Refusal::lacks(&format!("flow control {value:?} but a parallelism"))),
    };
    match parallelism {
        0 => Err(Refusal::bad("flow control parallelism is at least 1")),
        parallelism => Ok(Some(FlowTerms { key: key.to_owned(), parallelism })),
    }
}

fn length(what: &str, text: &str) -> Result<Millis, Refusal> {
    span(text.trim()).ok_or_else(|| Refusal::bad(format!("invalid {what} {text}")))
}

/// Reads a whole number from a header.
fn number<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, Refusal> {
    text.trim().parse().map_err(|_| Refusal::bad(format!("invalid {what} {text}")))
}

/// Spells the name of a header as the service does: `content-type` becomes `Content-Type`.
pub fn canonical(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters.map(|letter| letter.to_ascii_lowercase())).collect()
    });
    words.collect::<Vec<String>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &str)]) -> Result<Terms, Refusal> {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        Terms::read(&headers)
    }

    #[test]
    fn what_is_not_said_is_as_documented() {
        let terms = read(&[]).unwrap();
        assert_eq!((terms.method.as_str(), terms.retries, terms.timeout), ("POST", 3, 900_000));
        assert_eq!((terms.delay, terms.flow, terms.deduplication_id), (None, None, None));
    }

    #[test]
    fn the_headers_of_a_message_are_read() {
        let terms = read(&[
            ("Upstash-Method", "put"),
            ("Upstash-Delay", "1m30s"),
            ("Upstash-Retries", "0"),
            ("Upstash-Timeout", "30s"),
            ("Upstash-Label", "a, b"),
            ("content-type", "text/plain"),
            ("upstash-forward-x-api-key", "k"),
            ("x-ignored", "1"),
        ]);
        let terms = terms.unwrap();
        assert_eq!((terms.method.as_str(), terms.retries, terms.timeout), ("PUT", 0, 30_000));
        assert_eq!(terms.delay, Some(90_000));
        assert_eq!(terms.labels, ["a", "b"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(terms.headers, [pair("X-Api-Key", "k"), pair("Content-Type", "text/plain")]);
    }

    #[test]
    fn flow_control_is_a_key_with_a_parallelism() {
        let flow = |value| {
            let headers =
                [("Upstash-Flow-Control-Key", "k"), ("Upstash-Flow-Control-Value", value)];
            read(&headers).map(|terms| terms.flow.map(|flow| flow.parallelism))
        };
        assert_eq!(flow(" parallelism=5"), Ok(Some(5)));
        for value in ["", "parallelism=0", "parallelism=x", "rate=1", "parallelism=5, rate=10"] {
            assert_eq!(flow(value).unwrap_err().status, 400, "{value}");
        }
    }

    #[test]
    fn a_callback_has_terms_of_its_own_and_the_message_s_retries() {
        let terms = read(&[
            ("Upstash-Retries", "1"),
            ("Upstash-Callback", "http://host/c"),
            ("Upstash-Callback-Method", "PUT"),
            ("Upstash-Callback-Forward-X-A", "1"),
            ("Upstash-Failure-Callback", "https://host/f"),
            ("Upstash-Failure-Callback-Retries", "7"),
        ]);
        let terms = terms.unwrap();
        let callback = terms.callback.unwrap();
        let failure = terms.failure_callback.unwrap();
        assert_eq!((callback.terms.method.as_str(), callback.terms.retries), ("PUT", 1));
        assert_eq!(callback.terms.headers, [("X-A".to_owned(), "1".to_owned())]);
        assert_eq!((failure.url.as_str(), failure.terms.retries), ("https://host/f", 7));
    }

    #[test]
    fn a_header_that_is_not_read_is_refused_by_its_name() {
        let unknown = [
            "Upstash-Not-Before",
            "Upstash-Content-Based-Deduplication",
            "Upstash-Callback-Delay",
            "Upstash-Cron",
            "Upstash-Retry",
        ];
        for name in unknown {
            let refused = read(&[(&name.to_lowercase(), "1")]).unwrap_err();
            assert!(refused.error.contains(&format!("has no header {name};")), "{refused:?}");
        }
        let known = ["upstash-telemetry-sdk", "upstash-forward-x-own", "x-own", "cookie"];
        assert!(read(&known.map(|name| (name, "1"))).is_ok());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let bad = [
            ("upstash-method", "TRACE"),
            ("upstash-delay", "10"),
            ("upstash-retries", "-1"),
            ("upstash-retry-delay", "boom("),
            ("upstash-callback", "host/c"),
            ("upstash-flow-control-value", "rate=1"),
        ];
        for header in bad {
            assert_eq!(read(&[header]).unwrap_err().status, 400, "{header:?}");
        }
    }
}

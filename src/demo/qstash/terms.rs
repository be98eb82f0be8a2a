//! On what terms a message is delivered: everything that the `Upstash-` headers of a publish, a
//! batch item or a schedule say.

use super::spans::span;
use super::{Millis, Named, Refused, expression};

/// The time that a destination has to answer where the message does not say: the free plan's limit.
const LONGEST_ANSWER: Millis = 15 * 60 * 1000;

/// The number of retries where the message does not say.
const RETRIES: u32 = 3;

/// The terms of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The method of the delivery.
    pub method: String,
    /// Between the publish, or a schedule's tick, and the first attempt.
    pub delay: Option<Millis>,
    /// The number of times that a failed delivery is tried again.
    pub retries: u32,
    /// The expression for the time between attempts.
    pub retry_delay: Option<String>,
    /// The longest time that one attempt may take.
    pub timeout: Millis,
    /// The callback that is told of each attempt.
    pub callback: Option<Callback>,
    /// The callback that is told of a final failure.
    pub failure_callback: Option<Callback>,
    /// The id by which another message is the same.
    pub deduplication_id: Option<String>,
    /// With whom the deliveries share their pace.
    pub flow: Option<FlowTerms>,
    /// The headers beside QStash's own, with names as in `Content-Type`.
    pub headers: Vec<(String, String)>,
    /// By what it is found in the logs.
    pub labels: Vec<String>,
}

/// A message about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Its destination.
    pub url: String,
    /// Its own terms.
    pub terms: Box<Terms>,
}

/// The pace of all messages with the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowTerms {
    /// The key that they share.
    pub key: String,
    /// The most that are under way at the same time.
    pub parallelism: u32,
}

impl Terms {
    /// Reads the headers of a call, or refuses them as the service would. A header for QStash that
    /// is not read here is refused as well: its sender would take it for done.
    pub fn read(headers: &[(String, String)]) -> Result<Self, Refused> {
        if let Some((name, _)) = headers.iter().find(|(name, _)| !is_understood(name)) {
            return Err(Refused::lacks(&format!("header {}", canonical(name))));
        }
        let mut terms = Self::for_prefix("upstash-", headers, RETRIES)?;
        let id = headers.named("upstash-deduplication-id").filter(|id| !id.is_empty());
        terms.deduplication_id = id.map(str::to_owned);
        terms.flow = flow(headers)?;
        terms.callback = Callback::read("upstash-callback", headers, terms.retries)?;
        terms.failure_callback =
            Callback::read("upstash-failure-callback", headers, terms.retries)?;
        let labels = headers.named("upstash-label").unwrap_or_default().split(',');
        terms.labels = labels.map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
        if let Some(value) = headers.named("content-type") {
            terms.headers.push(("Content-Type".to_owned(), value.to_owned()));
        }
        Ok(terms)
    }

    /// The part that a message and its callbacks have in common, each under its own prefix.
    fn for_prefix(
        prefix: &str,
        headers: &[(String, String)],
        retries: u32,
    ) -> Result<Self, Refused> {
        let own = |name: &str| headers.named(&format!("{prefix}{name}"));
        let method = own("method").unwrap_or("POST").to_uppercase();
        if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
            return Err(Refused::bad(format!("invalid method {method}")));
        }
        let retry_delay = own("retry-delay").map(str::to_owned);
        if let Some(text) = &retry_delay {
            expression::evaluate(text, 0)
                .map_err(|why| Refused::bad(format!("invalid retry delay expression: {why}")))?;
        }
        let timeout = own("timeout").map(|text| length("timeout", text)).transpose()?;
        let mut terms = Self {
            method,
            delay: own("delay").map(|text| length("delay", text)).transpose()?,
            retries: own("retries").map_or(Ok(retries), |text| number("Upstash-Retries", text))?,
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

    /// The timeout, where the message is about one.
    pub fn said_timeout(&self) -> Option<Millis> {
        Some(self.timeout).filter(|timeout| *timeout != LONGEST_ANSWER)
    }
}

impl Callback {
    fn read(
        name: &str,
        headers: &[(String, String)],
        retries: u32,
    ) -> Result<Option<Self>, Refused> {
        let Some(url) = headers.named(name) else {
            return Ok(None);
        };
        check_url(url).map_err(|error| Refused::bad(format!("invalid callback url: {error}")))?;
        let terms = Terms::for_prefix(&format!("{name}-"), headers, retries)?;
        Ok(Some(Self { url: url.to_owned(), terms: Box::new(terms) }))
    }
}

/// Says what is wrong with a destination, in the service's words.
pub fn check_url(url: &str) -> Result<(), String> {
    let lower = url.get(..8).unwrap_or(url).to_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return Err("endpoint has invalid scheme, add http:// or https://".to_owned());
    }
    match url::Url::parse(url) {
        Ok(_) => Ok(()),
        Err(why) => Err(format!("endpoint is not a URL: {why}")),
    }
}

/// Says whether a header of the call, by its name in small letters, is for QStash.
pub fn is_setting(name: &str) -> bool {
    name.starts_with("upstash-")
}

/// Says whether a header of the call is read here, or not for QStash. Clients tell of themselves in
/// headers of telemetry, which ask for nothing.
fn is_understood(name: &str) -> bool {
    const OF_MESSAGES: [&str; 8] = [
        "callback",
        "failure-callback",
        "deduplication-id",
        "delay",
        "flow-control-key",
        "flow-control-value",
        "label",
        "telemetry-",
    ];
    const OF_ALL: [&str; 5] = ["method", "retries", "retry-delay", "timeout", "forward-"];
    let is_known = |known: &[&str], name: &str| {
        known
            .iter()
            .any(|known| *known == name || (known.ends_with('-') && name.starts_with(known)))
    };
    let name = name.to_lowercase();
    let Some(name) = name.strip_prefix("upstash-") else {
        return true;
    };
    let of_callback =
        ["callback-", "failure-callback-"].into_iter().find_map(|prefix| name.strip_prefix(prefix));
    match of_callback {
        Some(name) => is_known(&OF_ALL, name),
        None => is_known(&OF_ALL, name) || is_known(&OF_MESSAGES, name),
    }
}

fn flow(headers: &[(String, String)]) -> Result<Option<FlowTerms>, Refused> {
    let value = headers.named("upstash-flow-control-value");
    let Some(key) = headers.named("upstash-flow-control-key") else {
        return match value {
            None => Ok(None),
            Some(_) => Err(Refused::bad("flow control value without a key")),
        };
    };
    let value = value.unwrap_or_default().trim();
    let parallelism = match value.strip_prefix("parallelism=") {
        Some(count) if !count.contains(',') => number("parallelism", count)?,
        _ => return Err(Refused::lacks(&format!("flow control {value:?} but a parallelism"))),
    };
    match parallelism {
        0 => Err(Refused::bad("flow control parallelism is at least 1")),
        parallelism => Ok(Some(FlowTerms { key: key.to_owned(), parallelism })),
    }
}

fn length(what: &str, text: &str) -> Result<Millis, Refused> {
    span(text.trim()).ok_or_else(|| Refused::bad(format!("invalid {what} {text}")))
}

/// A whole number of a header or a query.
pub fn number<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, Refused> {
    text.trim().parse().map_err(|_| Refused::bad(format!("invalid {what} {text}")))
}

/// `content-type` as `Content-Type`, which is how the service tells header names.
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

    fn read(headers: &[(&str, &str)]) -> Result<Terms, Refused> {
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

//! A request as PostgREST sees it behind the gateway: its preferences, its profile, and the form
//! that it wants its answer in.

pub mod filter;
pub mod query;

use axum::http::{HeaderMap, Method};
use bytes::Bytes;

use super::keys::Identity;
use super::refusal::Refusal;

/// A request.
pub struct ApiRequest {
    /// The method.
    pub method: Method,
    /// The path below the prefix, decoded: `/jobs`, `/rpc/add`, `/`.
    pub path: String,
    /// The query string's pairs, decoded.
    pub pairs: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The caller.
    pub identity: Identity,
    /// The caller's preferences.
    pub prefer: Preferences,
}

/// The header `Prefer`. Of a preference that is sent twice the first counts.
#[derive(Clone, Debug, Default)]
pub struct Preferences {
    /// `count=`
    pub count: Option<&'static str>,
    /// `handling=`
    pub handling: Option<&'static str>,
    /// `timezone=`
    pub timezone: Option<String>,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An array of objects.
    Array,
    /// One object; anything but one row is refused.
    Object,
    /// Comma-separated values.
    Csv,
}

impl Form {
    /// Returns the answer's `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Array => "application/json; charset=utf-8",
            Self::Object => "application/vnd.pgrst.object+json; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

impl ApiRequest {
    /// A header's text, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The form that the answer is wanted in.
    pub fn form(&self) -> Result<Form, Refusal> {
        let accept = self.header("accept");
        for wanted in media_types(accept) {
            match wanted.as_str() {
                "" | "*/*" | "application/*" | "application/json" => return Ok(Form::Array),
                "application/vnd.pgrst.object+json" | "application/vnd.pgrst.object" => {
                    return Ok(Form::Object);
                }
                "text/csv" => return Ok(Form::Csv),
                other if other.contains("nulls=stripped") => {
                    return Err(Refusal::unknown("nulls=stripped"));
                }
                _ => {}
            }
        }
        Err(not_acceptable(accept))
    }

    /// Refuses a caller that does not take the description of the API.
    pub fn takes_openapi(&self) -> Result<(), Refusal> {
        let accept = self.header("accept");
        let known = ["", "*/*", "application/json", "application/openapi+json"];
        match media_types(accept).iter().any(|wanted| known.contains(&wanted.as_str())) {
            true => Ok(()),
            false => Err(not_acceptable(accept)),
        }
    }

    /// The schema that is meant: the profile that reading accepts or writing sends, else the first.
    pub fn schema<'a>(&'a self, exposed: &'a [String]) -> Result<&'a str, Refusal> {
        let reads = matches!(self.method, Method::GET | Method::HEAD);
        let profile = self.header(if reads { "accept-profile" } else { "content-profile" });
        if profile.is_empty() {
            return Ok(&exposed[0]);
        }
        let found = exposed.iter().find(|schema| *schema == profile);
        found.map(String::as_str).ok_or_else(|| {
            let hint = format!("Only the following schemas are exposed: {}", exposed.join(", "));
            Refusal::new(406, "PGRST106", format!("Invalid schema: {profile}")).hint(hint)
        })
    }
}

/// Each wanted type, without its weight, in the order of the header.
fn media_types(accept: &str) -> Vec<String> {
    let types = accept.split(',').map(|wanted| {
        let parts = wanted.split(';').map(str::trim);
        let kept = parts.filter(|part| !part.starts_with("q=") && !part.starts_with("charset="));
        kept.collect::<Vec<_>>().join(";")
    });
    types.collect()
}

fn not_acceptable(accept: &str) -> Refusal {
    let message = format!("None of these media types are available: {accept}");
    Refusal::new(406, "PGRST107", message)
}

impl Preferences {
    /// Reads all `Prefer` headers. One that PostgREST does not know is ignored by the real one;
    /// here it is refused unless `handling=lenient` asks for that, since a misspelt preference
    /// would pass every test.
    pub fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut read = Self::default();
        let mut unknown = Vec::new();
        let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        for preference in values.flat_map(|value| value.split(',')).map(str::trim) {
            if !read.take(preference)? {
                unknown.push(preference);
            }
        }
        match (read.handling, unknown.first()) {
            (_, None) | (Some("handling=lenient"), _) => Ok(read),
            (Some(_), Some(_)) => {
                let details = format!("Invalid preferences: {}", unknown.join(", "));
                let message = "Invalid preferences given with handling=strict";
                Err(Refusal::new(400, "PGRST122", message).details(details))
            }
            (None, Some(first)) => Err(Refusal::unknown(format!("the preference {first:?}"))),
        }
    }

    /// Takes one preference; false where it is unknown.
    fn take(&mut self, preference: &str) -> Result<bool, Refusal> {
        let known = |all: &[&'static str]| all.iter().find(|name| **name == preference).copied();
        let (key, value) = preference.split_once('=').unwrap_or((preference, ""));
        let (kept, found) = match key {
            "" | "tx" => return Ok(true),
            // They are of writes, and without effect on what reads.
            "resolution" | "missing" | "return" | "max-affected" => return Ok(true),
            "count" if value != "exact" => return Err(Refusal::unknown(preference)),
            "count" => (&mut self.count, known(&["count=exact"])),
            "handling" => (&mut self.handling, known(&["handling=strict", "handling=lenient"])),
            "timezone" => {
                self.timezone.get_or_insert_with(|| value.to_owned());
                return Ok(true);
            }
            _ => return Ok(false),
        };
        let is_known = found.is_some();
        *kept = kept.or(found);
        Ok(is_known)
    }

    /// The header that tells which were honoured.
    pub fn applied(&self) -> Option<(&'static str, String)> {
        let Self { count, handling, timezone } = self;
        let timezone = timezone.as_ref().map(|zone| format!("timezone={zone}"));
        let plain = [count, handling].into_iter().flatten();
        let applied = plain.map(|name| (*name).to_owned()).chain(timezone);
        let applied = applied.collect::<Vec<_>>().join(", ");
        (!applied.is_empty()).then_some(("preference-applied", applied))
    }
}

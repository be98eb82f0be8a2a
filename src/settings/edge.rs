//! The settings of the function's door: its public URL, and the keys and the token of its callers.

use url::Url;

use crate::engine::model::secret::SecretText;

use super::errors::{Problem, Problems};
use super::switch;
use super::variables::{
    ADMIN_TOKEN, ALLOWED_ORIGINS, APP_URL, CURRENT_KEY, Environment, LOCAL, NEXT_KEY,
    PUBLIC_APP_URL, Variable,
};

/// The settings of the function's door. At the terminal all of them may be missing.
#[derive(Debug, Clone, Default)]
pub struct EdgeSettings {
    /// The public URL of the function, without a slash at its end.
    pub app_url: Option<String>,
    /// The token of manual calls; none: no manual calls.
    pub admin_token: Option<SecretText>,
    /// The keys that scheduled calls are signed with; none: no scheduled calls.
    pub signing_keys: Option<SigningKeys>,
    /// Says whether this is somebody's own machine, where public keys do no harm.
    pub local: bool,
    /// The origins of the web pages that may call the functions of contacts.
    pub allowed_origins: Vec<String>,
}

/// The keys that QStash signs with, now and after the next rotation.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    /// The key that signs today.
    pub current: SecretText,
    /// The key after the next rotation; without it, calls are refused from the rotation until it is
    /// set.
    pub next: Option<SecretText>,
}

/// Sixteen random characters cannot be guessed through a function that answers in milliseconds.
const SHORTEST_TOKEN: usize = 16;

/// The local QStash server's keys, current and next of its four users, as its manual prints them
/// (facts/qstash.md, section 11). Anyone can sign with them.
const DEVELOPMENT_KEYS: [&str; 8] = [
    "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r",
    "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs",
    "sig_7GVPjvuwsfqF65iC8fSrs1dfYruM",
    "sig_5NoELc3EFnZn4DVS5bDs2Nk4b7Ua",
    "sig_6jWGaWRxHsw4vMSPJprXadyvrybF",
    "sig_7qHbvhmahe5GwfePDiS5Lg3pi6Qx",
    "sig_5T8FcSsynBjn9mMLBsXhpacRovJf",
    "sig_7GFR4YaDshFcqsxWRZpRB161jguD",
];

impl EdgeSettings {
    /// Reports the settings that the function lacks. A malformed setting is reported already.
    pub(super) fn missing_for_function(&self, peers_may_call: bool, problems: &mut Problems) {
        let Self { app_url, admin_token, signing_keys, local: _, allowed_origins: _ } = self;
        let bad_url = problems.has(APP_URL) || problems.has(PUBLIC_APP_URL);
        let bad_keys = problems.has(CURRENT_KEY) || problems.has(NEXT_KEY);
        if (signing_keys.is_some() || bad_keys) && app_url.is_none() && !bad_url {
            problems.of(APP_URL, Problem::NoAppUrl);
        }
        let has_no_caller = admin_token.is_none() && signing_keys.is_none() && !peers_may_call;
        if has_no_caller && !bad_keys && !problems.has(ADMIN_TOKEN) {
            let names = format!("{}, {}", CURRENT_KEY.name, ADMIN_TOKEN.name);
            problems.at(names, Problem::NobodyMayCall);
        }
    }
}

pub(super) fn read(env: Environment<'_>, problems: &mut Problems) -> EdgeSettings {
    let local = switch::read(env, LOCAL, problems).unwrap_or(false);
    EdgeSettings {
        app_url: app_url(env, problems),
        admin_token: admin_token(env, problems),
        signing_keys: signing_keys(env, local, problems),
        local,
        allowed_origins: allowed_origins(env, problems),
    }
}

/// Reads origins as browsers send them. `*` is none: with it, any page could use a token that its
/// visitor pasted somewhere.
fn allowed_origins(env: Environment<'_>, problems: &mut Problems) -> Vec<String> {
    let text = env.get(ALLOWED_ORIGINS).unwrap_or_default();
    let mut origins = Vec::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let origin = Url::parse(item).map(|url| url.origin().ascii_serialization());
        match origin {
            Ok(origin) if origin == item.trim_end_matches('/').to_ascii_lowercase() => {
                origins.push(origin);
            }
            _ => problems.of(ALLOWED_ORIGINS, Problem::Origin(item.to_owned())),
        }
    }
    origins
}

fn app_url(env: Environment<'_>, problems: &mut Problems) -> Option<String> {
    let mut parsed = |variable: Variable| match parse_app_url(&env.get(variable)?) {
        Ok(url) => Some(url),
        Err(problem) => {
            problems.of(variable, problem);
            None
        }
    };
    match (parsed(APP_URL), parsed(PUBLIC_APP_URL)) {
        (Some(own), Some(public)) if own != public => {
            problems.of(APP_URL, Problem::Differs(PUBLIC_APP_URL.name));
            None
        }
        (own, public) => own.or(public),
    }
}

/// Parses an absolute http or https URL to which a path can be added.
fn parse_app_url(text: &str) -> Result<String, Problem> {
    let url = Url::parse(text).map_err(|_| Problem::AppUrl)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Problem::AppUrlWithUser);
    }
    let is_web = matches!(url.scheme(), "http" | "https");
    if !is_web || url.query().is_some() || url.fragment().is_some() {
        return Err(Problem::AppUrl);
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn admin_token(env: Environment<'_>, problems: &mut Problems) -> Option<SecretText> {
    let token = env.get(ADMIN_TOKEN)?;
    if !token.chars().all(|c| c.is_ascii_graphic()) {
        problems.of(ADMIN_TOKEN, Problem::UnprintableToken);
    } else if token.len() < SHORTEST_TOKEN {
        problems.of(ADMIN_TOKEN, Problem::ShortToken(SHORTEST_TOKEN));
    } else {
        return Some(SecretText::new(token));
    }
    None
}

fn signing_keys(env: Environment<'_>, local: bool, problems: &mut Problems) -> Option<SigningKeys> {
    let mut key = |variable| {
        let key = env.get(variable)?;
        if !local && DEVELOPMENT_KEYS.contains(&key.as_str()) {
            problems.of(variable, Problem::DevelopmentKey);
        }
        Some(SecretText::new(key))
    };
    match (key(CURRENT_KEY), key(NEXT_KEY)) {
        (Some(current), next) => Some(SigningKeys { current, next }),
        (None, Some(_)) => {
            problems.of(NEXT_KEY, Problem::MissingPartner(CURRENT_KEY.name));
            None
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "sixteen-letters!";
    const KEY: &str = "sig_of_our_own_project";
    const URL: &str = "https://sync.example.com";
    const PUBLIC_KEY: &str = DEVELOPMENT_KEYS[0];

    fn edge(env: &[(&str, &str)]) -> Result<EdgeSettings, String> {
        let lookup = |asked: &str| {
            env.iter().find(|(name, _)| *name == asked).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems::default();
        let edge = read(Environment(&lookup), &mut problems);
        problems.or(edge).map_err(|errors| errors.to_string())
    }

    #[test]
    fn everything_may_be_missing_at_the_terminal() {
        let edge = edge(&[]).unwrap();

        assert!(edge.app_url.is_none() && edge.admin_token.is_none());
        assert!(edge.signing_keys.is_none() && !edge.local);
    }

    #[test]
    fn everything_can_be_set() {
        let edge = edge(&[
            ("APP_URL", "https://sync.example.com/base/"),
            ("NEXT_PUBLIC_APP_URL", "https://SYNC.example.com:443/base"),
            ("SYNC_ADMIN_TOKEN", "sixteen-letters!\n"),
            ("QSTASH_CURRENT_SIGNING_KEY", KEY),
            ("QSTASH_NEXT_SIGNING_KEY", "sig_next"),
        ])
        .unwrap();

        assert_eq!(edge.app_url.as_deref(), Some("https://sync.example.com/base"));
        assert_eq!(edge.admin_token.unwrap().expose(), TOKEN);
        let keys = edge.signing_keys.unwrap();
        assert_eq!((keys.current.expose(), keys.next.unwrap().expose()), (KEY, "sig_next"));
    }

    #[test]
    fn next_public_app_url_is_enough() {
        let edge = edge(&[("NEXT_PUBLIC_APP_URL", "http://localhost:3000/")]).unwrap();

        assert_eq!(edge.app_url.as_deref(), Some("http://localhost:3000"));
    }

    #[test]
    fn a_url_that_nobody_can_call_is_refused() {
        for url in [
            "sync.example.com",
            "/api",
            "ftp://sync.example.com",
            "https://",
            "https://sync.example.com/?a=b",
            "https://sync.example.com/#a",
            "https://user:hunter2@sync.example.com",
        ] {
            let message = edge(&[("APP_URL", url)]).unwrap_err();
            assert!(message.contains("\n  APP_URL: It must"), "{url}: {message}");
            assert!(!message.contains("hunter2"));
        }
    }

    #[test]
    fn two_different_urls_are_a_contradiction() {
        let env = [("APP_URL", URL), ("NEXT_PUBLIC_APP_URL", "https://other.example.com")];
        assert!(edge(&env).unwrap_err().contains("APP_URL: It differs from NEXT_PUBLIC_APP_URL"));
    }

    #[test]
    fn a_weak_token_is_refused_and_not_shown() {
        for token in ["fifteen-letters", "sixteen letters!", "sixteen-lettèrs!"] {
            let message = edge(&[("SYNC_ADMIN_TOKEN", token)]).unwrap_err();
            assert!(message.contains("\n  SYNC_ADMIN_TOKEN: It "), "{message}");
            assert!(!message.contains(token), "{message}");
        }
    }

    #[test]
    fn a_next_key_needs_a_current_one_and_not_the_other_way_round() {
        let message = edge(&[("QSTASH_NEXT_SIGNING_KEY", KEY)]).unwrap_err();
        assert!(message.contains("QSTASH_NEXT_SIGNING_KEY: It is set without QSTASH_CURRENT"));
        let keys = edge(&[("QSTASH_CURRENT_SIGNING_KEY", KEY)]).unwrap().signing_keys.unwrap();
        assert!(keys.next.is_none());
    }

    #[test]
    fn public_keys_are_for_a_machine_of_ones_own() {
        let local = ("SYNC_LOCAL", "1");
        for key in DEVELOPMENT_KEYS {
            let current = ("QSTASH_CURRENT_SIGNING_KEY", key);
            let next = [("QSTASH_CURRENT_SIGNING_KEY", KEY), ("QSTASH_NEXT_SIGNING_KEY", key)];

            let message = edge(&[current]).unwrap_err();
            assert!(message.contains("QSTASH_CURRENT_SIGNING_KEY: It is a public key"));
            assert!(!message.contains(key));
            assert!(edge(&next).unwrap_err().contains("QSTASH_NEXT_SIGNING_KEY: It is a public"));
            assert!(edge(&[current, ("SYNC_LOCAL", "0")]).is_err());
            assert!(edge(&[current, local]).unwrap().local);
        }
    }

    #[test]
    fn local_is_yes_or_no() {
        assert!(
            edge(&[("SYNC_LOCAL", "maybe")]).unwrap_err().contains("SYNC_LOCAL: It must be true")
        );
    }

    #[test]
    fn the_function_names_what_it_cannot_do_without() {
        let key = ("QSTASH_CURRENT_SIGNING_KEY", KEY);
        let token = ("SYNC_ADMIN_TOKEN", TOKEN);
        let url = ("APP_URL", URL);
        let required = |env: &[_]| {
            let mut problems = Problems::default();
            edge(env).unwrap().missing_for_function(false, &mut problems);
            problems.or(()).map_err(|errors| errors.to_string())
        };

        assert_eq!(required(&[token]), Ok(()));
        assert_eq!(required(&[key, url]), Ok(()));
        assert!(required(&[key]).unwrap_err().contains("APP_URL: It is not set"));
        let nobody = required(&[url]).unwrap_err();
        assert!(nobody.contains("QSTASH_CURRENT_SIGNING_KEY, SYNC_ADMIN_TOKEN: Neither"));
    }

    #[test]
    fn what_is_malformed_is_not_called_missing_too() {
        let lookup = |name: &str| match name {
            "QSTASH_CURRENT_SIGNING_KEY" => Some(PUBLIC_KEY.to_owned()),
            "APP_URL" => Some("nonsense".to_owned()),
            _ => None,
        };
        let mut problems = Problems::default();
        read(Environment(&lookup), &mut problems).missing_for_function(false, &mut problems);

        let errors = problems.or(()).unwrap_err();
        assert_eq!(errors.0.len(), 2, "{errors}");
        for bad in ["QSTASH_NEXT_SIGNING_KEY", "SYNC_ADMIN_TOKEN"] {
            let lookup = |name: &str| (name == bad).then(|| "too short".to_owned());
            let mut problems = Problems::default();
            read(Environment(&lookup), &mut problems).missing_for_function(false, &mut problems);
            let errors = problems.or(()).unwrap_err().to_string();
            assert!(errors.contains(bad) && !errors.contains("Neither is set"), "{errors}");
        }
    }
}

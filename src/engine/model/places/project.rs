//! A database behind an HTTP API: a Supabase project, or PostgREST alone.

use std::fmt;

use url::{Host, Url};

use super::authority::{BadAuthority, NamedAuthority};
use super::secret::SecretText;
use crate::engine::model::range::Side;

/// The path of the API in a Supabase project.
const API_PATH: &str = "/rest/v1";

/// The end of the name of a Supabase project's own host.
const SUPABASE: &str = ".supabase.co";

/// The beginning of a key of the new kind. Such a key is no token and stands in a header of its
/// own.
const OPAQUE_KEY: &str = "sb_secret_";

/// A project's API with the key that may read and write all of it. The key is not printed.
#[derive(Clone, Debug)]
pub struct Project {
    api: Url,
    key: SecretText,
    key_setting: String,
    authority: Option<NamedAuthority>,
    side: Side,
}

/// Says what is wrong with a project's URL or key, without repeating either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProject {
    /// It is no URL.
    #[error("It must be the project's URL, as in https://PROJECT.supabase.co")]
    NoUrl,
    /// Keys would travel in the clear.
    #[error("It must begin with https://; http:// is for this machine's own addresses alone")]
    Unencrypted,
    /// A user or password in it would be without effect.
    #[error("It must hold no user or password; the key has a setting of its own")]
    Credentials,
    /// The part behind a `?` or `#` would be without effect.
    #[error("Nothing may follow the path of the project's URL")]
    Parameters,
    /// The dashboard's address was copied instead.
    #[error("It is the dashboard's address; the project's is https://PROJECT.supabase.co")]
    Dashboard,
    /// There is no key.
    #[error("The service-role key is empty")]
    NoKey,
    /// A key that anybody may have reads and writes nothing for us.
    #[error(
        "The key is one for browsers (publishable); the service-role or secret key is needed, \
         from the project's settings, API keys"
    )]
    BrowserKey,
    /// It cannot stand in a header.
    #[error("The key holds a character that no key has; was it cut or pasted over two lines?")]
    BadKey,
}

impl Project {
    /// Reads a project's URL, with or without the path of its API, and its key. A URL without
    /// a path is a Supabase project's; one with a path says itself where the API is. The side and
    /// the setting that has the key are for messages.
    pub fn parse(
        side: Side,
        url: &str,
        (key_setting, key): (&str, &str),
    ) -> Result<Self, BadProject> {
        let mut api = Url::parse(url.trim()).map_err(|_| BadProject::NoUrl)?;
        match api.scheme() {
            "https" => {}
            "http" if is_local(&api) => {}
            "http" => return Err(BadProject::Unencrypted),
            _ => return Err(BadProject::NoUrl),
        }
        if !api.username().is_empty() || api.password().is_some() {
            return Err(BadProject::Credentials);
        }
        if api.query().is_some() || api.fragment().is_some() {
            return Err(BadProject::Parameters);
        }
        if matches!(api.host_str(), Some("supabase.com" | "app.supabase.com" | "app.supabase.io")) {
            return Err(BadProject::Dashboard);
        }
        let path = match api.path().trim_end_matches('/') {
            "" => API_PATH.to_owned(),
            path => path.to_owned(),
        };
        api.set_path(&path);
        let (key, key_setting) = (parse_key(key)?, key_setting.to_owned());
        Ok(Self { api, key, key_setting, authority: None, side })
    }

    /// Adds the authorities that its certificate must come from.
    pub fn with_authority(self, authority: NamedAuthority) -> Result<Self, BadAuthority> {
        match self.api.scheme() {
            "http" => Err(BadAuthority::Unencrypted),
            _ => Ok(Self { authority: Some(authority), ..self }),
        }
    }

    /// The authorities that its certificate must come from; the public ones if there are none.
    pub fn authority(&self) -> Option<&NamedAuthority> {
        self.authority.as_ref()
    }

    /// Returns the URL of the API that a project has at Supabase.
    pub fn api_at_supabase(reference: &str) -> String {
        format!("https://{reference}{SUPABASE}{API_PATH}")
    }

    /// Returns the URL of the API, without a slash at its end.
    pub fn api(&self) -> &str {
        self.api.as_str()
    }

    /// The key that every call shows.
    pub fn key(&self) -> &SecretText {
        &self.key
    }

    /// The setting that has the key.
    pub fn key_setting(&self) -> &str {
        &self.key_setting
    }

    /// The side whose project it is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The key is a token that names its role, and is shown as a bearer's too.
    pub fn has_token(&self) -> bool {
        !self.key.expose().starts_with(OPAQUE_KEY)
    }

    /// The project's name at Supabase; none where it is elsewhere.
    pub fn reference(&self) -> Option<&str> {
        self.api.host_str()?.strip_suffix(SUPABASE)
    }

    /// Names the project in messages: its host, and the port where it is not the scheme's own.
    pub fn label(&self) -> String {
        let host = self.api.host_str().unwrap_or_default();
        match self.api.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Both are the same API.
    pub fn is_same_project(&self, other: &Self) -> bool {
        self.api == other.api
    }
}

impl fmt::Display for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

/// Says whether a URL leads to this machine, so that nothing travels in the clear.
pub fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn parse_key(key: &str) -> Result<SecretText, BadProject> {
    let key = key.trim();
    if key.is_empty() {
        return Err(BadProject::NoKey);
    }
    if key.starts_with("sb_publishable_") {
        return Err(BadProject::BrowserKey);
    }
    match key.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(SecretText::new(key)),
        false => Err(BadProject::BadKey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, key: &str) -> Result<Project, BadProject> {
        Project::parse(Side::Source, url, ("SOURCE_SERVICE_ROLE_KEY", key))
    }

    #[test]
    fn a_project_is_found_with_or_without_the_path_of_its_api() {
        for (url, api, label) in [
            ("https://abc.supabase.co", "https://abc.supabase.co/rest/v1", "abc.supabase.co"),
            (" https://abc.supabase.co/ ", "https://abc.supabase.co/rest/v1", "abc.supabase.co"),
            (
                "https://abc.supabase.co/rest/v1/",
                "https://abc.supabase.co/rest/v1",
                "abc.supabase.co",
            ),
            ("http://localhost:54321", "http://localhost:54321/rest/v1", "localhost:54321"),
            ("http://[::1]:3000/api", "http://[::1]:3000/api", "[::1]:3000"),
        ] {
            let project = parse(url, "sb_secret_invented").expect(url);
            assert_eq!((project.api(), project.label().as_str()), (api, label));
        }
        let project = parse("https://abc.supabase.co", "a.b.c").expect("a project");
        assert_eq!(project.reference(), Some("abc"));
        assert!(project.has_token());
    }

    #[test]
    fn what_is_no_project_is_refused_without_a_word_of_it() {
        for (url, key, bad) in [
            ("abc.supabase.co", "k", BadProject::NoUrl),
            ("postgres://abc", "k", BadProject::NoUrl),
            ("http://abc.supabase.co", "k", BadProject::Unencrypted),
            ("https://u:hunter2@abc.supabase.co", "k", BadProject::Credentials),
            ("https://abc.supabase.co?apikey=hunter2", "k", BadProject::Parameters),
            ("https://supabase.com/dashboard/project/abc", "k", BadProject::Dashboard),
            ("https://abc.supabase.co", " ", BadProject::NoKey),
            ("https://abc.supabase.co", "sb_publishable_hunter2", BadProject::BrowserKey),
            ("https://abc.supabase.co", "hun\nter2", BadProject::BadKey),
        ] {
            let refused = parse(url, key).expect_err(url);
            assert_eq!(refused, bad, "{url}");
            assert!(!refused.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        let project = parse("https://abc.supabase.co", "hunter2").expect("a project");
        assert!(!format!("{project:?} {project}").contains("hunter2"));
    }
}

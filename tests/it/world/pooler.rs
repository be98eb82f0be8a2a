//! A transaction pooler: Debian's pgbouncer before one server, with two connections a database, and
//! with TLS where a test gives it a certificate. It ends with the process, however that ends,
//! because it watches a pipe that only we hold.

use std::fs::Permissions;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use syncline::demo::TlsFiles;

use super::servers::not_tested;

/// A running pooler.
pub struct Pooler {
    port: u16,
    server: u16,
    watcher: Child,
    directory: PathBuf,
}

/// Ends the pooler when our end of its standard input is closed.
const WATCH: &str = "\"$@\" </dev/null & cat >/dev/null; kill $!; wait";

impl Pooler {
    /// Starts one before a port of 127.0.0.1, where `url` leads; everybody gets in as that URL's
    /// user. None where pgbouncer is not installed, and then it says so.
    pub fn before(server: u16, password: &str) -> Option<Self> {
        Self::with(server, password, None)
    }

    /// Starts one that takes no connection without TLS, and proves itself by this certificate.
    pub fn with_tls(server: u16, password: &str, tls: &TlsFiles) -> Option<Self> {
        Self::with(server, password, Some(tls))
    }

    fn with(server: u16, password: &str, tls: Option<&TlsFiles>) -> Option<Self> {
        let Some(program) = installed() else {
            not_tested("there is no pgbouncer here; install the package of that name");
            return None;
        };
        let started = (0..5).find_map(|_| Self::start(&program, server, password, tls));
        Some(started.expect("pgbouncer starts"))
    }

    fn start(program: &Path, server: u16, password: &str, tls: Option<&TlsFiles>) -> Option<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?.local_addr().ok()?.port();
        let name = format!("syncline-pgbouncer-{}-{port}", std::process::id());
        let directory = PathBuf::from("/tmp").join(name);
        std::fs::create_dir(&directory).expect("a directory is made");
        let settings = directory.join("pgbouncer.ini");
        let tls = tls.map(|files| tls_settings(&directory, files)).unwrap_or_default();
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={server} user=syncline password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 200\n\
             query_wait_timeout = 0\n{tls}"
        );
        write_readable(&settings, &text);
        let mut sh = Command::new("sh");
        sh.args(["-c", WATCH, "sh"]).arg(program).arg("-q");
        if Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0") {
            sh.args(["-u", "postgres"]);
        }
        sh.arg(&settings).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watcher = sh.spawn().expect("sh runs");
        let pooler = Self { port, server, watcher, directory };
        pooler.answers().then_some(pooler)
    }

    fn answers(&self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns a URL that leads to the same database through the pooler.
    pub fn url(&self, url: &str) -> String {
        url.replace(&format!(":{}/", self.server), &format!(":{}/", self.port))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Writes the certificate and its key, and returns the settings that name them.
fn tls_settings(directory: &Path, tls: &TlsFiles) -> String {
    let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
    write_readable(&certificate, &tls.certificate_pem);
    write_readable(&key, &tls.key_pem);
    format!(
        "client_tls_sslmode = require\nclient_tls_cert_file = {}\nclient_tls_key_file = {}\n",
        certificate.display(),
        key.display()
    )
}

/// pgbouncer refuses to be root and changes to another account, which must read its files.
fn write_readable(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the directory takes a file");
    std::fs::set_permissions(path, Permissions::from_mode(0o644)).expect("it is ours");
}

fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.extend(["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from));
    places.into_iter().map(|place| place.join("pgbouncer")).find(|program| program.is_file())
}

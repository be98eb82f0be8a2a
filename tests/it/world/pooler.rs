//! A transaction pooler: Debian's pgbouncer before one server, with two connections a database. It
//! ends with the process, however that ends, because it watches a pipe that only we hold.

use std::fs::Permissions;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
        let Some(program) = installed() else {
            not_tested("there is no pgbouncer here; install the package of that name");
            return None;
        };
        let started = (0..5).find_map(|_| Self::start(&program, server, password));
        Some(started.expect("pgbouncer starts"))
    }

    fn start(program: &Path, server: u16, password: &str) -> Option<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?.local_addr().ok()?.port();
        let name = format!("syncline-pgbouncer-{}-{port}", std::process::id());
        let directory = PathBuf::from("/tmp").join(name);
        std::fs::create_dir(&directory).expect("a directory is made");
        let settings = directory.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={server} user=syncline password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 200\n\
             query_wait_timeout = 0\n"
        );
        std::fs::write(&settings, text).expect("the directory takes a file");
        // pgbouncer refuses to be root and changes to this account, which must read its settings.
        std::fs::set_permissions(&settings, Permissions::from_mode(0o644)).expect("it is ours");
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

fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.extend(["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from));
    places.into_iter().map(|place| place.join("pgbouncer")).find(|program| program.is_file())
}

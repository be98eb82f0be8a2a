//! A real server with TLS and an authority of its own, with a role for each way to log in. All
//! tests of this folder share it.

use std::path::PathBuf;
use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use syncline::demo::{Cluster, ClusterOptions, TlsFiles};
use tokio::sync::Mutex;
use tokio_postgres::Client;

use crate::world::pair::Pair;
use crate::world::servers::options;
use crate::world::{connect, fresh_database, fresh_database_on};

/// Another spelling of 127.0.0.1, which resolvers understand and nobody knows for this machine: so
/// it counts as another one.
pub const ANOTHER_MACHINE: &str = "0x7f000001";

/// The password of every role but the superuser's.
pub const PASSWORD: &str = "a-password-of-the-tests";

/// An authority that nobody knows.
pub struct Authority {
    parameters: CertificateParams,
    key: KeyPair,
    /// Its certificate.
    pub pem: String,
}

impl Authority {
    /// Makes one.
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "An authority of the tests");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { parameters, key, pem }
    }

    /// Signs a certificate for a server with these names.
    pub fn sign(&self, parameters: CertificateParams) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.parameters, &self.key);
        let certificate_pem = parameters.signed_by(&key, &issuer).unwrap().pem();
        TlsFiles { certificate_pem, key_pem: key.serialize_pem() }
    }
}

/// A certificate's parameters for hosts.
pub fn named(hosts: &[&str]) -> CertificateParams {
    CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// The server.
pub struct TlsServer {
    pub cluster: Cluster,
    pub authority: Authority,
    /// The authority's certificate as a file.
    pub file: PathBuf,
}

/// Roles by the way in which the server asks for their password.
pub const WAYS: [&str; 4] = ["by_md5", "in_clear", "by_nothing", "by_scram"];

/// The shared server, started at the first call.
pub fn tls_server() -> &'static TlsServer {
    static SERVER: OnceLock<TlsServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        let authority = Authority::new();
        let tls = authority.sign(named(&["127.0.0.1", ANOTHER_MACHINE]));
        let hba = [
            "hostnossl all by_scram all reject",
            "host all by_md5 all md5",
            "host all in_clear all password",
            "host all by_nothing all trust",
        ];
        let hba = hba.map(str::to_owned).to_vec();
        let options = ClusterOptions { tls: Some(tls), hba, ..options() };
        let cluster = Cluster::start(&options).expect("Postgres starts with TLS");
        // The file goes with the server, even if the process is killed.
        let file = cluster.data_dir().join("syncline-ca.pem");
        std::fs::write(&file, &authority.pem).expect("the server's folder takes a file");
        TlsServer { cluster, authority, file }
    })
}

/// Makes the roles of the shared server, once.
pub async fn make_roles(client: &Client) {
    static MADE: Mutex<bool> = Mutex::const_new(false);
    let mut made = MADE.lock().await;
    if !*made {
        for role in WAYS {
            let encryption = if role == "by_md5" { "md5" } else { "scram-sha-256" };
            let create = format!(
                "set password_encryption = '{encryption}'; \
                 create role {role} superuser login password '{PASSWORD}'"
            );
            client.batch_execute(&create).await.expect("the superuser may create roles");
        }
        *made = true;
    }
}

/// A pair whose source is on the server with TLS.
pub struct TlsPair {
    pub pair: Pair,
    pub server: &'static TlsServer,
    database: String,
}

impl TlsPair {
    pub async fn new() -> Self {
        let server = tls_server();
        let of_source = fresh_database_on(&server.cluster, "tls").await;
        let client = connect(&of_source.url).await.expect("the server accepts us");
        make_roles(&client).await;
        let database = of_source.name.clone();
        let table = "create table items (id int primary key, updated_at timestamptz not null);";
        let pair = Pair::between(of_source, fresh_database("target").await, table, table).await;
        pair.sql_source("insert into items values (1, now())").await;
        Self { pair, server, database }
    }

    /// The source's URL at a host and port, for a role.
    pub fn url(&self, role: &str, place: &str, parameters: &str) -> String {
        format!("postgres://{role}:{PASSWORD}@{place}/{}?{parameters}", self.database)
    }

    /// The source's URL at the server itself, as another machine.
    pub fn direct(&self, role: &str, parameters: &str) -> String {
        let port = self.server.cluster.port();
        self.url(role, &format!("{ANOTHER_MACHINE}:{port}"), parameters)
    }
}

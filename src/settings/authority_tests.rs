//! The place that the authority of a server's certificate is read from, and refusals by name.

use crate::engine::model::address::{Address, Database};
use crate::engine::model::authority::RootCertificate;

use super::tests::{ConfigFile, SOURCE, TARGET, message, settings};

const PEM: &str = "-----BEGIN CERTIFICATE-----\\nTUlJQw==\\n-----END CERTIFICATE-----";
const OTHER: &str = "-----BEGIN CERTIFICATE----- TUlJRA== -----END CERTIFICATE-----";

/// The authorities of the pipelines, source and target of each.
fn authorities(env: &[(&str, &str)]) -> Vec<[Option<RootCertificate>; 2]> {
    let of = |database: &Database| match database {
        Database::Server(url) => url.root_certificate.clone(),
        Database::Project(project) => {
            project.authority().map(|authority| authority.certificate.clone())
        }
    };
    let pipelines = settings(env).unwrap_or_else(|errors| panic!("{errors}")).pipelines;
    let both = pipelines.iter().map(|set| {
        let Address::Postgres(source) = &set.source.address;
        [of(source), of(&set.target.address)]
    });
    both.collect()
}

fn pem(text: &str) -> Option<RootCertificate> {
    Some(RootCertificate::parse(text).unwrap())
}

#[test]
fn each_side_has_an_authority_of_its_own() {
    let env = [SOURCE, TARGET, ("SOURCE_SSL_CA", PEM), ("TARGET_SSL_CA", "/etc/ca.pem")];
    let file = Some(RootCertificate::File("/etc/ca.pem".into()));
    assert_eq!(authorities(&env), [[pem(PEM), file]]);
    assert_eq!(authorities(&[SOURCE, TARGET, ("TARGET_SSL_CA", PEM)]), [[None, pem(PEM)]]);
}

#[test]
fn the_setting_of_an_authority_is_known_by_its_name_whatever_the_side_is() {
    let project = ("TARGET_DATABASE_URL", "https://abcdefghij.supabase.co");
    let service = ("TARGET_SERVICE_ROLE_KEY", "sb_secret_hunter2");
    let env = [SOURCE, project, service, ("SOURCE_SSL_CA", PEM), ("TARGET_SSL_CA", OTHER)];
    assert_eq!(authorities(&env), [[pem(PEM), pem(OTHER)]]);
    let set = &settings(&env).unwrap_or_else(|errors| panic!("{errors}")).pipelines[0];
    let Address::Postgres(source) = &set.source.address;
    let settings = [source, &set.target.address].map(Database::authority_setting);
    assert_eq!(settings, [Some("SOURCE_SSL_CA"), Some("TARGET_SSL_CA")]);
}

#[test]
fn a_pipeline_of_the_file_has_authorities_of_its_own() {
    let text = "[[pipeline]]\nname = \"one\"\nsource = \"postgres://u@a/d\"\n\
        source_ssl_ca = \"env:CA_OF_A\"\n\
        [[pipeline]]\nname = \"two\"\nsource = \"postgres://u@b/d\"\n\
        [[pipeline]]\nname = \"three\"\ntarget = \"postgres://u@c/d\"\ntarget_ssl_ca = \"c.pem\"\n";
    let file = ConfigFile::new("authorities", text);
    let env = [
        SOURCE,
        TARGET,
        file.variable(),
        ("CA_OF_A", PEM),
        ("SOURCE_SSL_CA", OTHER),
        ("TARGET_SSL_CA", OTHER),
    ];
    let third = Some(RootCertificate::File("c.pem".into()));
    let expected = [[pem(PEM), pem(OTHER)], [None, pem(OTHER)], [pem(OTHER), third]];
    assert_eq!(authorities(&env), expected);
}

#[test]
fn a_variable_wins_over_the_only_pipeline() {
    let text = "[[pipeline]]\nname = \"one\"\nsource_ssl_ca = \"a.pem\"\n";
    let file = ConfigFile::new("authority", text);
    let env = [SOURCE, TARGET, file.variable(), ("SOURCE_SSL_CA", PEM)];
    assert_eq!(authorities(&env), [[pem(PEM), None]]);
}

#[test]
fn an_authority_that_cannot_be_used_is_named() {
    let key = "-----BEGIN PRIVATE KEY----- aHVudGVyMg== -----END PRIVATE KEY-----";
    let project = ("SOURCE_DATABASE_URL", "http://127.0.0.1:54321");
    let service = ("SOURCE_SERVICE_ROLE_KEY", "sb_secret_hunter2");
    let unchecked = ("SOURCE_DATABASE_URL", "postgres://u@h/d?sslmode=disable");
    for (env, said) in [
        (&[SOURCE, ("SOURCE_SSL_CA", key)][..], "SOURCE_SSL_CA: It holds a private key"),
        (&[SOURCE, ("SOURCE_SSL_CA", "-----BEGIN CERTIFICATE-----")], "SOURCE_SSL_CA: The cert"),
        (&[project, service, ("SOURCE_SSL_CA", PEM)], "SOURCE_SSL_CA: The project's URL begins"),
        (&[unchecked, ("SOURCE_SSL_CA", PEM)], "SOURCE_SSL_CA: The URL's sslmode=disable"),
        (&[SOURCE, ("TARGET_SSL_CA", "a\nb")], "TARGET_SSL_CA: It must be a certificate"),
    ] {
        let message = message(&[&[TARGET], env].concat());
        assert!(message.contains(said), "{said} is not in {message}");
        assert!(!message.contains("aHVudGVyMg"), "{message}");
    }
}

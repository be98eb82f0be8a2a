//! The forms of a database URL, and that no message repeats a piece of a password.

use proptest::prelude::*;

use super::*;
use crate::engine::model::authority::NamedAuthority;

fn tcp(host: &str) -> Host {
    Host::Tcp(host.into())
}

#[test]
fn a_full_url_is_taken_apart() {
    let url = parse(
        "postgresql://Al%40ice:p%40ss%2F%3A%25@DB.example.com:6543/My%20Db?sslmode=verify-full\
         &sslrootcert=/etc/ca.pem&connect_timeout=7&application_name=night%20run",
    )
    .unwrap();

    assert_eq!(url.host, tcp("DB.example.com"));
    assert_eq!(url.port, 6543);
    assert_eq!(url.user, "Al@ice");
    assert_eq!(url.password.unwrap().expose(), "p@ss/:%");
    assert_eq!(url.database, "My Db");
    assert_eq!(url.ssl_mode, Some(SslMode::VerifyFull));
    assert_eq!(url.root_certificate, Some(RootCertificate::File("/etc/ca.pem".into())));
    assert_eq!(url.connect_timeout, Some(Duration::from_secs(7)));
    assert_eq!(url.application_name.as_deref(), Some("night run"));
}

#[test]
fn a_transaction_pooler_is_known_by_its_address() {
    for (address, pooled) in [
        ("aws-0-eu-central-1.pooler.supabase.com:6543", true),
        ("db.abcdefgh.supabase.co:6543", true),
        ("aws-0-eu-central-1.pooler.supabase.com:5432", false),
        ("db.example.com:6543", false),
        ("notsupabase.com:6543", false),
    ] {
        let url = parse(&format!("postgres://app@{address}/postgres")).unwrap();
        assert_eq!(url.is_transaction_pooler(), pooled, "{address}");
    }
}

#[test]
fn what_a_short_url_leaves_out_has_a_default() {
    let url = parse("postgres://app@h").unwrap();

    assert_eq!((url.port, url.database.as_str()), (5432, "app"));
    assert!(url.password.is_none() && url.ssl_mode.is_none());
    assert!(url.root_certificate.is_none() && url.connect_timeout.is_none());
    assert!(url.application_name.is_none());
}

#[test]
fn hosts_are_names_addresses_or_directories() {
    let cases = [
        ("postgres://u@[::1]/d", tcp("::1")),
        ("postgres://u@[2001:db8::1]:6000/d", tcp("2001:db8::1")),
        ("postgres://u@10.0.0.1:/d", tcp("10.0.0.1")),
        ("postgres://u@%2Fvar%2Frun/d", Host::Unix("/var/run".into())),
        ("postgres://u@/d?host=/tmp", Host::Unix("/tmp".into())),
        ("postgres:///d?user=u&host=%2Ftmp&port=6000", Host::Unix("/tmp".into())),
        ("POSTGRES://u@h/d", tcp("h")),
    ];
    for (text, host) in cases {
        assert_eq!(parse(text).unwrap().host, host, "{text}");
    }
}

#[test]
fn database_names_keep_their_capitals_and_their_unicode() {
    let cases = [
        ("postgres://u@h/Größe", "Größe"),
        ("postgres://u@h/Gr%C3%B6%C3%9Fe", "Größe"),
        ("postgres://u@h/a+b", "a+b"),
        ("postgres://u@h/a%2Fb", "a/b"),
        ("postgres://u@h/?dbname=x", "x"),
        ("postgres://U@h/", "U"),
    ];
    for (text, database) in cases {
        assert_eq!(parse(text).unwrap().database, database, "{text}");
    }
}

#[test]
fn a_password_may_hold_what_libpq_allows_raw() {
    for password in ["a#b", "a?b", "a:b", "a+b", "a&b=c", "[x]", "pässwörd"] {
        let url = parse(&format!("postgres://u:{password}@h/d")).unwrap();
        assert_eq!(url.password.unwrap().expose(), password);
    }
    assert!(parse("postgres://u:@h/d").unwrap().password.is_none());
}

#[test]
fn tls_can_be_asked_for_in_every_way_libpq_knows() {
    let cases = [
        ("sslmode=disable", SslMode::Disable),
        ("sslmode=allow", SslMode::Allow),
        ("sslmode=prefer", SslMode::Prefer),
        ("sslmode=require", SslMode::Require),
        ("sslmode=verify-ca", SslMode::VerifyCa),
        ("sslmode=no-verify", SslMode::NoVerify),
        ("ssl=true", SslMode::Require),
    ];
    for (parameter, mode) in cases {
        let url = parse(&format!("postgres://u@h/d?{parameter}")).unwrap();
        assert_eq!(url.ssl_mode, Some(mode));
    }
    let url = parse("postgres://u@h/d?sslrootcert=system").unwrap();
    assert_eq!(url.root_certificate, Some(RootCertificate::System));
    for (word, binding) in
        [("require", ChannelBinding::Require), ("disable", ChannelBinding::Disable)]
    {
        let url = parse(&format!("postgres://u@h/d?channel_binding={word}")).unwrap();
        assert_eq!(url.channel_binding, binding);
    }
}

#[test]
fn public_authorities_demand_the_name_as_in_libpq() {
    for mode in ["", "&sslmode=verify-full"] {
        let url = parse(&format!("postgres://u@h/d?sslrootcert=system{mode}")).unwrap();
        assert_eq!(url.ssl_mode, Some(SslMode::VerifyFull), "{mode}");
    }
    for mode in ["allow", "prefer", "require", "verify-ca"] {
        let weak = parse(&format!("postgres://u@h/d?sslmode={mode}&sslrootcert=system"));
        assert_eq!(weak.unwrap_err(), BadDatabaseUrl::Authority(BadAuthority::WeakSystem));
    }
}

#[test]
fn authorities_that_nothing_would_look_at_are_refused() {
    for mode in ["disable", "no-verify"] {
        let unused = parse(&format!("postgres://u@h/d?sslmode={mode}&sslrootcert=/ca.pem"));
        assert_eq!(unused.unwrap_err(), BadDatabaseUrl::Authority(BadAuthority::Unused(mode)));
    }
    let certificate = RootCertificate::File("/ca.pem".into());
    let setting = "SOURCE_SSL_CA".to_owned();
    let authority = NamedAuthority { setting, certificate: certificate.clone() };
    let url = parse("postgres://u@h/d").unwrap().with_authority(authority.clone()).unwrap();
    assert_eq!(url.root_certificate, Some(certificate));
    assert_eq!(url.with_authority(authority).unwrap_err(), BadAuthority::Twice);
}

#[test]
fn what_others_add_to_the_url_is_ignored() {
    let others = "pgbouncer=true&connection_limit=1&schema=x&supa=base-pooler.x&keepalives=1";
    assert!(parse(&format!("postgres://u@h/d?{others}")).is_ok());
    let url = parse("postgres://u@h/d?connect_timeout=0&application_name=").unwrap();
    assert!(url.connect_timeout.is_none() && url.application_name.is_none());
}

#[test]
fn a_bad_url_is_refused_with_its_reason() {
    use BadDatabaseUrl as Bad;
    let cases = [
        ("", Bad::NoScheme),
        ("hunter2", Bad::NoScheme),
        ("hunter2:x", Bad::NoScheme),
        ("postgres:u@h", Bad::NoScheme),
        ("mysql://u@h/d", Bad::OtherScheme("mysql")),
        ("jdbc:postgresql://h/d", Bad::OtherScheme("jdbc")),
        ("https://x.supabase.co", Bad::Rest),
        ("postgres://u:p@x@h/d", Bad::UnclearPassword),
        ("postgres://u:p/x@h/d", Bad::UnclearPassword),
        ("postgres://u:p/x?y=z@h/d", Bad::UnclearPassword),
        ("postgres://u:[YOUR-PASSWORD]@h/d", Bad::Placeholder),
        ("postgres://u:50%@h/d", Bad::BadPercent),
        ("postgres://u:%zz@h/d", Bad::BadPercent),
        ("postgres://u:%+1@h/d", Bad::BadPercent),
        ("postgres://u:%00@h/d", Bad::BadPercent),
        ("postgres://u:%ff@h/d", Bad::BadPercent),
        ("postgres://u:%é@h/d", Bad::BadPercent),
        ("postgres://h/d", Bad::NoUser),
        ("postgres://u@/d", Bad::NoHost),
        ("postgres://u@:5432/d", Bad::NoHost),
        ("postgres://u@a,b/d", Bad::SeveralHosts),
        ("postgres://u@a:1,b:2/d", Bad::SeveralHosts),
        ("postgres://u@[::1/d", Bad::BadHost),
        ("postgres://u@[::1]x/d", Bad::BadHost),
        ("postgres://u@a b/d", Bad::BadHost),
        ("postgres://u@%40abstract/d", Bad::BadHost),
        ("postgres://u@h:x/d", Bad::BadPort),
        ("postgres://u@h:0/d", Bad::BadPort),
        ("postgres://u@h:-1/d", Bad::BadPort),
        ("postgres://u@h:65536/d", Bad::BadPort),
        ("postgres://u@::1/d", Bad::BadPort),
        ("postgres://u@h/d?sslcert=x", Bad::UnsupportedParameter("sslcert")),
        ("postgres://u@h/d?options=-cx", Bad::UnsupportedParameter("options")),
        ("postgres://u@h/d?sslmode=require&sslmod=x", Bad::UnknownParameter(2)),
        ("postgres://a@?hunter2", Bad::UnknownParameter(1)),
        ("postgres://u@h/d?ssl=1", Bad::UnsupportedParameter("ssl")),
        ("postgres://u@h/d?password=a&b", Bad::PasswordParameter),
    ];
    for (text, reason) in cases {
        assert_eq!(parse(text).unwrap_err(), reason, "{text}");
    }
}

#[test]
fn a_bad_parameter_says_what_it_may_be() {
    for (parameter, word) in [
        ("sslmode=on", "verify-full"),
        ("sslmode=", "verify-full"),
        ("sslrootcert=", "system"),
        ("connect_timeout=soon", "seconds"),
        ("connect_timeout=-1", "seconds"),
    ] {
        let error = parse(&format!("postgres://u@h/d?{parameter}")).unwrap_err().to_string();
        let name = parameter.split('=').next().unwrap();
        assert!(error.contains(name) && error.contains(word), "{error}");
    }
}

proptest! {
    #[test]
    fn a_password_is_read_back_and_never_shown(password in "[^\0]{8,20}") {
        let encoded: String = password.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let url = parse(&format!("postgres://u:{encoded}@h/d")).unwrap();
        let shown = format!("{url:?} {}", url.label());
        prop_assert!(!shown.contains(&password));
        let read = url.password.map(|secret| secret.expose().to_owned());
        prop_assert_eq!(read, Some(password));
    }

    #[test]
    fn a_raw_password_is_in_no_message(
        password in "[a-zA-Z0-9@/:?#&=%. \\[\\]]{0,6}QzWx[a-zA-Z0-9@/:?#&=%. \\[\\]]{0,6}",
        before in "(postgres://)?(u:)?",
        after in "(@h)?(:5432)?(/d)?(\\?sslmode=x|\\?nonsense=1)?",
    ) {
        if let Err(error) = parse(&format!("{before}{password}{after}")) {
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains("QzWx"));
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        text in "\\PC*|(postgres|postgresql|https|)://[a-z0-9%@:/?#&=\\[\\],. é]{0,40}",
    ) {
        let _ = parse(&text);
    }
}

#[test]
fn the_address_of_a_supabase_database_tells_its_project() {
    for (url, project) in [
        ("postgres://postgres@db.abc.supabase.co:5432/postgres", Some("abc")),
        ("postgres://postgres.abc@aws-0-eu.pooler.supabase.com:6543/postgres", Some("abc")),
        ("postgres://postgres.abc@aws-0-eu.pooler.supabase.com:6543/other", None),
        ("postgres://postgres.abc@pooler.example.org/postgres", None),
        ("postgres://postgres@db.abc.example.org/postgres", None),
    ] {
        let address = DatabaseUrl::parse(url).unwrap();
        assert_eq!(address.supabase_project(), project, "{url}");
    }
}

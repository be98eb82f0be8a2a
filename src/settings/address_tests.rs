//! The keys that suit a project, and the errors of others, which repeat no word of them.

use super::*;
use crate::engine::model::range::Side;
use crate::settings::variables::SOURCE_KEY;

const PROJECT: &str = "https://abcdefghij.supabase.co";

/// A token as Supabase makes them; nobody checks its signature here.
fn token(claims: &str) -> String {
    format!("eyJhbGciOiJIUzI1NiJ9.{}.hunter2", URL_SAFE_NO_PAD.encode(claims))
}

fn given(url: &str, key: &str) -> Result<Address, String> {
    let mut problems = Problems::default();
    let key = Key::Given(Place::Other("KEY"), key);
    let address = read(Side::Source, Place::Other("URL"), url, key, &mut problems);
    problems.or(address).map(|address| address.unwrap()).map_err(|errors| errors.to_string())
}

#[test]
fn the_keys_that_may_do_everything_are_taken() {
    for (url, key) in [
        (PROJECT, token(r#"{"role": "service_role", "ref": "abcdefghij"}"#)),
        (PROJECT, token(r#"{"role": "service_role"}"#)),
        (PROJECT, "sb_secret_hunter2".to_owned()),
        ("https://api.example.com/rest/v1", token(r#"{"role":"service_role","ref":"other"}"#)),
        ("http://localhost:3000/api", token(r#"{"role": "syncline"}"#)),
        (PROJECT, "a.b.c".to_owned()),
    ] {
        let address = given(url, &key).unwrap();
        assert!(matches!(address, Address::Postgres(Database::Project(_))));
        assert!(!format!("{address:?}").contains("hunter2"));
    }
}

#[test]
fn a_postgres_url_needs_no_key() {
    let mut problems = Problems::default();
    let key = Key::NotInFile("source_key");
    let address = read(Side::Source, Place::Other("URL"), "postgres://u@h/d", key, &mut problems);
    assert_eq!(address.unwrap().label(), "h:5432/d");
    assert!(problems.or(()).is_ok());
}

#[test]
fn a_key_that_does_not_suit_is_told_for_what_it_is() {
    let other = r#"{"role": "service_role", "ref": "zyxwvutsrq"}"#;
    for (key, said) in [
        (token(r#"{"role": "anon", "ref": "abcdefghij"}"#), "KEY: The key has the role anon, "),
        (token(r#"{"role": "authenticated"}"#), "KEY: The key has the role authenticated, "),
        (token(r#"{"role": "hunter2"}"#), "KEY: The key has the role of somebody else, "),
        (token(other), "KEY: The key belongs to the project zyxwvutsrq, and the URL to abcdefghij"),
        ("sb_publishable_hunter2".to_owned(), "KEY: The key is one for browsers"),
        ("hun\u{fffd}ter2".to_owned(), "KEY: It holds bytes"),
        ("hun ter2".to_owned(), "KEY: The key holds a character"),
    ] {
        let message = given(PROJECT, &key).unwrap_err();
        assert!(message.contains(said), "{said} is not in {message}");
        assert!(!message.contains("hunter2") && !message.contains(&key), "{message}");
    }
    let padded = token(r#"{"role": "anon"}"#);
    let elsewhere = given("https://api.example.com/pg", &padded).unwrap_err();
    assert!(elsewhere.contains("the role anon"), "{elsewhere}");
}

#[test]
fn a_missing_key_is_named_where_it_belongs() {
    let said = |key| {
        let mut problems = Problems::default();
        read(Side::Source, Place::Other("line 3"), PROJECT, key, &mut problems);
        problems.or(()).unwrap_err().to_string()
    };
    let variable = said(Key::Unset(SOURCE_KEY));
    let expected = "SOURCE_SERVICE_ROLE_KEY: It is not set; set the service-role or secret key of \
         abcdefghij.supabase.co";
    assert!(variable.contains(expected), "{variable}");
    let file = said(Key::NotInFile("source_key"));
    assert!(file.contains("line 3: The project abcdefghij.supabase.co needs its key"), "{file}");
    assert!(file.contains("source_key = \"env:NAME\""), "{file}");
}

#[test]
fn a_malformed_url_is_blamed_and_not_repeated() {
    for url in ["https://u:hunter2@h", "http://example.com", "https://h?apikey=hunter2"] {
        let message = given(url, "sb_secret_hunter2").unwrap_err();
        assert!(message.contains("URL: ") && !message.contains("hunter2"), "{message}");
    }
    for url in ["https://hunter2/x@h", "postgres://u:hun/ter2@h/d", "https://u:hunter2@h"] {
        assert_eq!(label(url), "unreadable");
    }
}

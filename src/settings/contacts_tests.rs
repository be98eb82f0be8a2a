//! The settings of contacts, and what they need of the others.

use crate::settings::Settings;
use crate::settings::tests::ConfigFile;

const KEY: (&str, &str) = ("MAILERLITE_API_KEY", "an-invented-key");
const TARGET: (&str, &str) = ("TARGET_DATABASE_URL", "postgres://u@new.example.com/app");
const SOURCE: (&str, &str) = ("SOURCE_DATABASE_URL", "postgres://u@old.example.com/app");
const MAPPING: &str = "[contacts]\ntable = \"clients\"\nemail = \"email\"\n";

fn lookup(env: &[(&str, &str)], asked: &str) -> Option<String> {
    env.iter().rev().find(|(name, _)| *name == asked).map(|(_, value)| (*value).to_owned())
}

fn settings(env: &[(&str, &str)]) -> Result<Settings, String> {
    let read = Settings::read_for_contacts(&|asked| lookup(env, asked));
    read.map_err(|errors| errors.to_string())
}

#[test]
fn contacts_need_a_database_a_key_and_a_mapping_but_no_source() {
    let file = ConfigFile::new("contacts-alone", MAPPING);
    let set = settings(&[TARGET, KEY, file.variable()]).unwrap();
    assert!(set.pipelines.is_empty());
    let contacts = set.contacts;
    assert_eq!(contacts.url, "https://connect.mailerlite.com/api");
    assert_eq!(contacts.database.unwrap().address.label(), "new.example.com:5432/app");
    assert_eq!(contacts.mapping.unwrap().email, "email");

    for (env, expected) in [
        (vec![KEY, file.variable()], "TARGET_DATABASE_URL: It is not set"),
        (vec![TARGET, file.variable()], "MAILERLITE_API_KEY: It is not set; make a key"),
        (vec![TARGET, KEY], "SYNC_CONFIG: The file has no [contacts]; `syncline contacts init`"),
    ] {
        let message = settings(&env).unwrap_err();
        assert!(
            message.starts_with("A setting is wrong") && message.contains(expected),
            "{message}"
        );
    }
    let proposal = Settings::read_for_new_contacts(&|asked| lookup(&[TARGET, KEY], asked));
    assert!(proposal.unwrap().contacts.mapping.is_none());
}

#[test]
fn the_database_of_the_contacts_can_be_another() {
    let file = ConfigFile::new("contacts-database", MAPPING);
    let own = ("CONTACTS_DATABASE_URL", "postgres://u@crm.example.com/app");
    let label = |env: &[(&str, &str)]| {
        settings(env).map(|set| set.contacts.database.expect("a database").address.label())
    };
    let all = [SOURCE, TARGET, KEY, own, file.variable()];
    assert_eq!(label(&all).unwrap(), "crm.example.com:5432/app");
    assert_eq!(label(&[KEY, own, file.variable()]).unwrap(), "crm.example.com:5432/app");
    let project = ("CONTACTS_DATABASE_URL", "https://abcdefghijklmnopqrst.supabase.co");
    let message = label(&[KEY, project, file.variable()]).unwrap_err();
    assert!(message.contains("CONTACTS_SERVICE_ROLE_KEY: It is not set"), "{message}");
    let key = ("CONTACTS_SERVICE_ROLE_KEY", "sb_secret_abcdefghijklmnopqrstuv_12345678");
    assert!(label(&[KEY, project, key, file.variable()]).is_ok());

    let pipelines = "[[pipeline]]\nname = \"a\"\nsource = \"env:SOURCE_DATABASE_URL\"\n\
        target = \"postgres://u@a.example.com/app\"\n";
    let one = ConfigFile::new("contacts-one", &format!("{pipelines}{MAPPING}"));
    assert_eq!(label(&[SOURCE, KEY, one.variable()]).unwrap(), "a.example.com:5432/app");
    let both = format!("{pipelines}{}{MAPPING}", pipelines.replace("a\"\n", "b\"\n"));
    let two = ConfigFile::new("contacts-two", &both.replace("a.example", "b.example"));
    let message = label(&[SOURCE, KEY, two.variable()]).unwrap_err();
    assert!(message.contains("CONTACTS_DATABASE_URL: It is not set, and several"), "{message}");
}

#[test]
fn a_function_with_a_mapping_needs_the_key_and_no_pipeline() {
    let file = ConfigFile::new("contacts-function", MAPPING);
    let token = ("SYNC_ADMIN_TOKEN", "sixteen-letters!");
    let read = |env: &[(&str, &str)]| Settings::read_for_function(&|asked| lookup(env, asked));
    assert!(read(&[TARGET, KEY, token, file.variable()]).unwrap().pipelines.is_empty());
    let message = read(&[TARGET, token, file.variable()]).unwrap_err().to_string();
    assert!(message.contains("MAILERLITE_API_KEY: It is not set"), "{message}");
    // Commands of pipelines leave contacts alone.
    let run = Settings::read(&|asked| lookup(&[SOURCE, TARGET, file.variable()], asked)).unwrap();
    assert_eq!(run.pipelines.len(), 1);
}

#[test]
fn mailerlite_is_found_at_its_address_with_or_without_the_path() {
    let file = ConfigFile::new("contacts-url", MAPPING);
    let url = |text: &str| {
        let env = [TARGET, KEY, file.variable(), ("MAILERLITE_URL", text)];
        settings(&env).map(|set| set.contacts.url)
    };
    for text in ["https://ml.example.com", "https://ml.example.com/", "https://ml.example.com/api"]
    {
        assert_eq!(url(text).unwrap(), "https://ml.example.com/api", "{text}");
    }
    assert_eq!(url("http://127.0.0.1:8090").unwrap(), "http://127.0.0.1:8090/api");
    for (text, expected) in [
        ("http://ml.example.com", "It must begin with https://"),
        ("ml.example.com", "It must be the address before `/api`"),
        ("https://u:hunter2@ml.example.com", "It must be the address before `/api`"),
        ("ftp://hunter2", "It must be the address before `/api`"),
    ] {
        let message = url(text).unwrap_err();
        assert!(message.contains(&format!("MAILERLITE_URL: {expected}")), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn each_webhook_has_a_secret_and_each_page_an_origin() {
    let file = ConfigFile::new("contacts-webhooks", MAPPING);
    let with = |name, value| settings(&[TARGET, KEY, file.variable(), (name, value)]);
    let set = with("MAILERLITE_WEBHOOK_SECRET", "aB3dE6gH9j, aB3dE6gH9k").unwrap();
    assert_eq!(set.contacts.webhook_secrets.len(), 2);
    let message = with("MAILERLITE_WEBHOOK_SECRET", "hunter2").unwrap_err();
    assert!(message.contains("must have at least 8 characters") && !message.contains("hunter2"));

    let origins = "https://app.example.com, http://localhost:3000/";
    let set = with("SYNC_ALLOWED_ORIGINS", origins).unwrap();
    assert_eq!(set.edge.allowed_origins, ["https://app.example.com", "http://localhost:3000"]);
    for text in ["*", "https://app.example.com/page", "app.example.com", "null"] {
        let message = with("SYNC_ALLOWED_ORIGINS", text).unwrap_err();
        assert!(message.contains(&format!("{text} is no origin")), "{message}");
    }
}

//! The source and the target for each mix of variables that people have.

use crate::settings::Settings;

const VALUES: [(&str, &str); 5] = [
    ("SOURCE_DATABASE_URL", "postgres://u:hunter2@source/d"),
    ("TARGET_DATABASE_URL", "postgres://u:hunter2@target/d"),
    ("OLD_SUPABASE_URL", "https://old.supabase.co"),
    ("SUPABASE_URL", "https://current.supabase.co"),
    ("NEW_SUPABASE_URL", "https://new.supabase.co"),
];

/// Reads the settings where these variables are set, each with a key: source and target, or the
/// problems.
fn read(set: &str) -> Result<(String, String), String> {
    let key = |name: &str| name.ends_with("_SERVICE_ROLE_KEY").then(|| "sb_secret_hunter2".into());
    let settings = Settings::read(&|asked| {
        let of = VALUES.iter().find(|(name, _)| {
            *name == asked && set.split(' ').any(|start| name.starts_with(start))
        });
        of.map(|(_, value)| (*value).to_owned()).or_else(|| key(asked))
    });
    match settings {
        Ok(settings) => {
            let of = &settings.pipelines[0];
            let host = |label: String| label.split(['.', ':']).next().unwrap().to_owned();
            Ok((host(of.source.address.label()), host(of.target.address.label())))
        }
        Err(errors) => Err(errors.to_string()),
    }
}

#[test]
fn the_names_of_a_move_say_from_where_to_where() {
    for (set, source, target) in [
        ("SOURCE TARGET", "source", "target"),
        ("OLD SUPABASE", "old", "current"),
        ("SUPABASE NEW", "current", "new"),
        ("OLD NEW", "old", "new"),
        ("SOURCE TARGET OLD SUPABASE NEW", "source", "target"),
        ("SOURCE OLD SUPABASE", "source", "current"),
        ("SOURCE SUPABASE NEW", "source", "new"),
        ("TARGET OLD SUPABASE", "old", "target"),
        ("TARGET SUPABASE NEW", "current", "target"),
        ("SOURCE NEW", "source", "new"),
        ("TARGET OLD", "old", "target"),
    ] {
        assert_eq!(read(set), Ok((source.to_owned(), target.to_owned())), "{set}");
    }
}

#[test]
fn three_projects_are_two_readings_and_a_person_chooses() {
    for set in ["OLD SUPABASE NEW", "SOURCE OLD SUPABASE NEW", "TARGET OLD SUPABASE NEW"] {
        let message = read(set).unwrap_err();
        for said in [
            "OLD_SUPABASE_URL, SUPABASE_URL, NEW_SUPABASE_URL: All three are set",
            "from OLD_SUPABASE_URL (old.supabase.co) to SUPABASE_URL (current.supabase.co), then",
            "from SUPABASE_URL (current.supabase.co) to NEW_SUPABASE_URL (new.supabase.co), then",
            "SOURCE_DATABASE_URL and TARGET_DATABASE_URL win",
        ] {
            assert!(message.contains(said), "{said} is not in {message}");
        }
        assert!(message.starts_with("A setting is wrong"), "{message}");
        assert!(!message.contains("hunter2"));
    }
}

#[test]
fn one_project_alone_has_no_side() {
    for (set, missing) in [
        ("SUPABASE", vec!["SOURCE", "TARGET"]),
        ("SOURCE SUPABASE", vec!["TARGET"]),
        ("TARGET SUPABASE", vec!["SOURCE"]),
    ] {
        let message = read(set).unwrap_err();
        assert_eq!(message.matches("SUPABASE_URL alone does not tell").count(), missing.len());
        for side in missing {
            assert!(message.contains(&format!("{side}_DATABASE_URL: It is not set, and")));
        }
    }
    let message = read("OLD").unwrap_err();
    assert!(message.contains("TARGET_DATABASE_URL: It is not set; write postgres://"), "{message}");
}

#[test]
fn a_project_without_its_key_names_the_variable_for_it() {
    let settings = Settings::read(&|asked| {
        let of = VALUES.iter().find(|(name, _)| *name == asked && !name.contains("DATABASE"));
        of.filter(|(name, _)| !name.starts_with("NEW")).map(|(_, value)| (*value).to_owned())
    });
    let message = settings.unwrap_err().to_string();
    assert!(message.contains("OLD_SUPABASE_SERVICE_ROLE_KEY: It is not set; set the"), "{message}");
    assert!(message.contains("\n  SUPABASE_SERVICE_ROLE_KEY: It is not set; set the"), "{message}");
}

//! What the documents say is so: the settings as the settings tell them, the guarantees as tests.

use syncline::settings::VARIABLES;

#[test]
fn the_readme_lists_every_variable_as_the_settings_do() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("the README");
    for variable in VARIABLES {
        let default = variable.default.unwrap_or("none");
        let row = format!("| `{}` | {default} | {} |", variable.name, variable.purpose);
        assert!(readme.contains(&row), "the README lacks the row\n{row}");
    }
}

#[test]
fn every_guarantee_names_a_test_that_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let guarantees = std::fs::read_to_string(root.join("docs/guarantees.md")).expect("the page");
    let tests: String = std::fs::read_dir(root.join("tests/it"))
        .expect("the tests")
        .filter_map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).ok())
        .collect();
    let is_row = |line: &&str| {
        line.starts_with("| ") && !line.starts_with("| what happens") && !line.starts_with("| ---")
    };
    let rows = guarantees.lines().filter(is_row);
    for row in rows {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().expect("a last cell");
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test in: {row}");
        for name in names {
            assert!(tests.contains(&format!("fn {name}()")), "there is no test {name}");
        }
    }
}

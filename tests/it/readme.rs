//! What the README says of settings is what the settings say.

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

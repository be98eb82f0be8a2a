//! The pages are true: settings, commands, routes and tests that they name are there, their
//! examples are understood, and their links lead somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{CommandFactory, Parser};
use syncline::edge::cli::Arguments;
use syncline::engine::model::fault_code::FaultCode;
use syncline::settings::{Settings, VARIABLES};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder whose names end like this.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path, ending)),
            false if path.to_string_lossy().ends_with(ending) => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}

/// Every page for people, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths = files(&root().join("docs"), ".md");
    paths
        .extend(["README.md", "ARCHITECTURE.md", "events/README.md"].map(|name| root().join(name)));
    let text = |path: &PathBuf| std::fs::read_to_string(path).expect("a page");
    paths.into_iter().map(|path| (path.clone(), text(&path))).collect()
}

/// The lines of a page's blocks in this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let begin = format!("\n```{language}\n");
    let blocks = page.split(&begin).skip(1);
    blocks.map(|rest| rest.split("\n```").next().unwrap_or_default().to_owned()).collect()
}

/// The texts between backticks in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn every_variable_is_listed_as_the_settings_have_it() {
    let page = read("docs/settings.md");
    for variable in VARIABLES {
        let default = variable.default.unwrap_or("none");
        let row = format!("| `{}` | {default} | {} |", variable.name, variable.purpose);
        assert!(page.contains(&row), "docs/settings.md lacks the row\n{row}");
    }
}

#[test]
fn every_fault_code_is_listed_and_no_other() {
    let page = read("docs/faults.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let listed: BTreeSet<&str> = rows.filter_map(|row| quoted(row).next()).collect();
    let known: BTreeSet<&str> = FaultCode::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(listed, known);
}

#[test]
fn the_example_of_the_file_is_understood() {
    let [example] = &blocks(&read("docs/settings.md"), "toml")[..] else {
        panic!("docs/settings.md has one example")
    };
    let path = std::env::temp_dir().join(format!("syncline-readme-{}.toml", std::process::id()));
    std::fs::write(&path, example).expect("a file");
    let environment = |name: &str| match name {
        "SYNC_CONFIG" => Some(path.display().to_string()),
        "OLD_URL" => Some("https://abcdefghijklmnopqrst.supabase.co".to_owned()),
        "OLD_KEY" => Some("sb_secret_abcdefghijklmnopqrstuv_12345678".to_owned()),
        "TARGET_DATABASE_URL" => Some("postgres://writer@localhost/app".to_owned()),
        _ => None,
    };
    let settings = Settings::read(&environment);
    std::fs::remove_file(&path).expect("the file");
    assert_eq!(settings.expect("no problem").pipelines.len(), 1);
}

#[test]
fn the_example_of_contacts_is_understood() {
    let [example] = &blocks(&read("docs/contacts.md"), "toml")[..] else {
        panic!("docs/contacts.md has one example")
    };
    let path = std::env::temp_dir().join(format!("syncline-contacts-{}.toml", std::process::id()));
    std::fs::write(&path, example).expect("a file");
    let environment = |name: &str| match name {
        "SYNC_CONFIG" => Some(path.display().to_string()),
        "MAILERLITE_API_KEY" => Some("an-invented-key".to_owned()),
        "TARGET_DATABASE_URL" => Some("postgres://writer@localhost/app".to_owned()),
        _ => None,
    };
    let settings = Settings::read_for_contacts(&environment);
    std::fs::remove_file(&path).expect("the file");
    let mapping = settings.expect("no problem").contacts.mapping.expect("a mapping");
    assert_eq!((mapping.fields.len(), mapping.groups.len()), (2, 1));
}

#[test]
fn every_guarantee_names_a_test_that_is_there() {
    let mut sources = files(&root().join("tests"), ".rs");
    sources.extend(files(&root().join("src"), ".rs"));
    let is_test = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ").and_then(|rest| rest.strip_suffix("() {")).map(str::to_owned)
    };
    let tests: BTreeSet<String> = sources
        .iter()
        .flat_map(|path| {
            std::fs::read_to_string(path)
                .expect("a file")
                .lines()
                .filter_map(is_test)
                .collect::<Vec<_>>()
        })
        .collect();
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| ---");
    for path in files(&root().join("docs/guarantees"), ".md") {
        let page = std::fs::read_to_string(&path).expect("a page");
        let mut has_tests = false;
        for row in page.lines().filter(is_row) {
            let cell = row.trim_end_matches(" |").rsplit(" | ").next().expect("a last cell");
            if row.starts_with("| what happens") || row.starts_with("| page") {
                has_tests = cell == "test";
                continue;
            }
            if !has_tests {
                continue;
            }
            assert!(quoted(cell).next().is_some(), "{}: no test in: {row}", path.display());
            for name in quoted(cell) {
                assert!(tests.contains(name), "{}: there is no test {name}", path.display());
            }
        }
    }
}

/// A line of a page as the words that a shell makes of it; none where it is another command.
fn words(line: &str) -> Option<Vec<String>> {
    let line = line.split(" | ").next()?.split(" > ").next()?.split(" >> ").next()?;
    let rest = line.strip_prefix("syncline ").or_else(|| line.strip_prefix("cargo run -- "))?;
    let script = format!("printf '%s\\n' {rest}");
    let split = Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
    let text = String::from_utf8(split.stdout).expect("text");
    Some(std::iter::once("syncline").chain(text.lines()).map(str::to_owned).collect())
}

#[test]
fn every_command_of_the_pages_is_understood() {
    for (path, page) in pages() {
        for line in blocks(&page, "sh").iter().flat_map(|block| block.lines()) {
            let Some(words) = words(line) else { continue };
            let parsed = Arguments::try_parse_from(words);
            assert!(parsed.is_ok(), "{}: {line}\n{}", path.display(), parsed.unwrap_err());
        }
    }
}

#[test]
fn the_page_of_the_terminal_has_every_command_and_option() {
    let page = read("docs/cli.md");
    let section = |name: &str| {
        let begin = format!("{name}\n");
        page.split("\n## ").find(|section| section.starts_with(&begin))
    };
    for command in Arguments::command().get_subcommands() {
        let name = command.get_name();
        let section = section(name).unwrap_or_else(|| panic!("docs/cli.md lacks {name}"));
        let nested = command.get_subcommands().inspect(|action| {
            let shown = format!("{name} {}", action.get_name());
            assert!(section.contains(&shown), "docs/cli.md lacks syncline {shown}");
        });
        let options = nested.flat_map(clap::Command::get_arguments).chain(command.get_arguments());
        for option in options.filter_map(clap::Arg::get_long).filter(|option| *option != "help") {
            let shown = section.contains(&format!("`--{option}"));
            assert!(shown, "docs/cli.md lacks --{option} of {name}");
        }
    }
}

/// The part of a link behind `#` that leads to a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_to_a_page_and_a_heading() {
    for (path, page) in pages() {
        let folder = path.parent().expect("a folder");
        let links = page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap_or_default());
        for link in links.filter(|link| !link.starts_with("https://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let to = if file.is_empty() { path.clone() } else { folder.join(file) };
            assert!(to.exists(), "{} links to {link}, which is not there", path.display());
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&to).expect("a page");
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                let found = headings.any(|line| anchor(line) == heading);
                assert!(found, "{} links to {link}, and there is no such heading", path.display());
            }
        }
    }
}

/// A text of the architecture's page that names a file or a folder: from the root of the
/// repository, or from `src`, where a module's ending may be left out.
fn is_path(text: &str) -> bool {
    let is_of_paths = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    text.chars().all(is_of_paths) && !text.starts_with('/') && text.contains('/')
}

#[test]
fn every_path_that_the_pages_name_is_there() {
    let is_there = |path: &str| {
        let places = [path.to_owned(), format!("src/{path}"), format!("src/{path}.rs")];
        places.iter().any(|place| root().join(place).exists())
    };
    for (page, text) in pages() {
        let is_of_the_code = page.ends_with("ARCHITECTURE.md");
        let named = text.lines().flat_map(quoted).filter(|text| is_path(text));
        for path in named.filter(|path| is_of_the_code || path.starts_with("src/")) {
            assert!(is_there(path), "{} names {path}, which is not there", page.display());
        }
    }
}

#[test]
fn the_pages_that_are_read_first_are_short() {
    for (path, most) in [("README.md", 200), ("ARCHITECTURE.md", 250)] {
        let lines = read(path).lines().count();
        assert!(lines <= most, "{path} has {lines} lines, more than {most}");
    }
}

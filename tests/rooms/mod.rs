//! The rules of the house as a test. Whoever moves a wall changes `ROOMS` and says why.
//!
//! - here: which room may name which, what a decision must not do, how long a file may be, what a
//!   module must not be called
//! - `circles`: no two files import each other, directly or around a corner
//! - `folders`: the number of files in a folder, and `x/mod.rs` as the one style
//! - `words`: how a doc line begins, how wide a comment is, which names are no nouns
//! - `imports`, `scan`: read Rust as far as the rules need it
//! - `snippets`: the rules of this file, tried on text

mod circles;
mod folders;
mod imports;
mod scan;
mod snippets;
mod words;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use imports::{imports, is_test_file, module_of};
use scan::{Import, Source};

const LONGEST_FILE: usize = 400;
const NAMES_THAT_SAY_NOTHING: [&str; 7] =
    ["util", "utils", "common", "helpers", "misc", "types", "manager"];

/// A room, named by where its files lie under `src/`, and the paths of ours it may name. In a path
/// `*` is any module, `Type` any type, and `own` the module of the file's own folder.
struct Room {
    at: &'static str,
    may_import: &'static [&'static str],
    rule: &'static str,
}

const fn room(at: &'static str, may_import: &'static [&'static str], rule: &'static str) -> Room {
    Room { at, may_import, rule }
}

/// The first room that a file lies in is its room.
#[rustfmt::skip]
const ROOMS: &[Room] = &[
    room("engine/model/", &["engine::model"],
        "The model imports std, time and error support, and nothing else"),
    room("engine/plan/", &["engine::model", "engine::plan"],
        "A plan imports the model alone"),
    room("engine/ports", &["engine::model", "engine::ports"],
        "The ports import the model alone"),
    room("engine/drive/", &["engine::model", "engine::plan", "engine::ports", "engine::drive"],
        "The drive imports model, plan and ports, never jobs, adapters or HTTP"),
    room("engine/mod.rs", &["engine"],
        "The engine imports nothing outside itself"),
    room("jobs/mod.rs", &["engine", "jobs"],
        "The list of jobs imports the engine and the jobs"),
    room("jobs/", &["engine", "jobs::Type", "jobs::own"],
        "A job imports the engine, its own files and the types of jobs/mod.rs, never another job"),
    room("adapters/mod.rs", &["engine::model", "engine::ports", "adapters"],
        "The list of adapters imports model, ports and the adapters"),
    room("adapters/project_source.rs", &["engine::model", "engine::ports", "adapters"],
        "A project's source imports model, ports and the adapters that it chooses from"),
    room("adapters/", &["engine::model", "engine::ports", "jobs::*::ports", "adapters::api", "adapters::json_rows", "adapters::trust", "adapters::own"],
        "An adapter imports model, ports, the ports of the job it serves, adapters/api, json_rows and trust, never another adapter"),
    room("edge/cli/demo", &["jobs", "engine", "wiring::App", "edge", "demo"],
        "The demo's command imports what the edge imports, and demo"),
    room("edge/cli/local/", &["edge", "demo::qstash", "demo::mailerlite"],
        "The commands that start local services import the edge, demo::qstash and demo::mailerlite"),
    room("edge/", &["jobs", "engine", "wiring::App", "edge"],
        "The edge imports jobs, the engine and wiring's App, never adapters; edge/cli/demo and edge/cli/local alone start demo"),
    room("settings/", &["engine::model", "settings"],
        "The settings import the model alone"),
    room("wiring", &["engine", "jobs", "adapters", "settings", "telemetry", "wiring"],
        "The wiring imports everything but edge and demo"),
    room("telemetry", &["telemetry"],
        "Telemetry imports nothing of ours"),
    room("bin/", &["edge", "wiring", "settings", "telemetry"],
        "A binary imports edge, wiring, settings and telemetry"),
    room("demo/", &["demo"],
        "The demo imports nothing of ours"),
    room("lib.rs", &[],
        "The map of the rooms imports none of them"),
];

/// A breach of a rule by a file or a folder.
pub struct Breach {
    pub rule: &'static str,
    /// A file or a folder, from the top of the repository.
    pub path: String,
    pub says: String,
}

#[test]
fn the_house_keeps_its_rules() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let src = rust_files(root, "src");
    let others = [rust_files(root, "tests"), rust_files(root, "benches")].concat();

    let mut broken = Vec::new();
    for (path, text) in &src {
        broken.extend(broken_rules(path, text).iter().map(|rule| format!("src/{path}:{rule}")));
    }
    for (path, text) in &others {
        broken.extend(too_long(&Source::read(text)).map(|rule| format!("{path}:{rule}")));
    }

    let mut breaches = circles::circles(&src);
    let src = src.into_iter().map(|(path, text)| (format!("src/{path}"), text));
    let all: Vec<(String, String)> = src.chain(others).collect();
    breaches.extend(folders::breaches(all.iter().map(|(path, _)| path.as_str())));
    breaches.extend(all.iter().flat_map(|(path, text)| words::breaches(path, text)));
    let breaches = breaches.into_iter();
    broken.extend(breaches.map(|Breach { rule, path, says }| format!("{path}:{says} [{rule}]")));

    // A panic would hang a stack trace below the list, which says nothing.
    println!("{}", broken.join("\n"));
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns the breaches of the rules by a file, each as `line: rule`. `path` is the file's under
/// `src/`.
fn broken_rules(path: &str, text: &str) -> Vec<String> {
    let source = Source::read(text);
    let mut broken = forbidden_imports(path, &source);
    broken.extend(impure_words(path, &source));
    broken.extend(environment_readers(path, &source));
    broken.extend(empty_names(path, &source));
    broken.extend(too_long(&source));
    broken
}

fn forbidden_imports(path: &str, source: &Source) -> Vec<String> {
    let Some(room) = ROOMS.iter().find(|room| path.starts_with(room.at)) else {
        return vec!["1: A file lies in one of the rooms".to_owned()];
    };
    let module = module_of(path);
    let is_allowed = |import: &[String]| {
        let of_this_file = !module.is_empty() && import.starts_with(&module);
        of_this_file || room.may_import.iter().any(|allowed| is_within(import, allowed, &module))
    };
    let mut broken = Vec::new();
    for Import { path: import, line, in_tests, .. } in imports(&module, source) {
        let in_tests = in_tests || is_test_file(path);
        if !is_allowed(&import) && (is_pure(path) || !in_tests) {
            broken.push(format!("{line}: {} ({})", room.rule, import.join("::")));
        }
    }
    broken
}

fn is_within(import: &[String], allowed: &str, module: &[String]) -> bool {
    let allowed: Vec<&str> = allowed.split("::").collect();
    import.len() >= allowed.len()
        && allowed.iter().zip(import).all(|(pattern, name)| match *pattern {
            "*" => true,
            "Type" => name.starts_with(char::is_uppercase),
            "own" => module.get(1) == Some(name),
            pattern => pattern == name,
        })
}

/// Says whether a file decides: its tests, too, work on values. The tests of other rooms may import
/// what they need, a real adapter or a throwaway database.
fn is_pure(path: &str) -> bool {
    let is_plan = |part: &str| part.trim_end_matches(".rs") == "plan";
    // The edge has a command of that name, which asks for a plan and prints it.
    let decides = !path.starts_with("edge/") && path.split('/').any(is_plan);
    path.starts_with("engine/model/") || decides
}

fn impure_words(path: &str, source: &Source) -> Vec<String> {
    const RULE: &str = "A decision is a function of values: no async, no clock, no environment";
    if !is_pure(path) {
        return Vec::new();
    }
    let impure: [&[&str]; 4] = [&["async"], &[".", "await"], &["now", "(", ")"], &["env", "::"]];
    let lines = impure.iter().flat_map(|words| source.lines_with(words));
    lines.map(|line| format!("{line}: {RULE}")).collect()
}

fn environment_readers(path: &str, source: &Source) -> Vec<String> {
    const RULE: &str = "The environment is read by settings, bin and demo alone";
    if ["settings/", "bin/", "demo/"].iter().any(|room| path.starts_with(room)) {
        return Vec::new();
    }
    let mut of_std = source.paths("std", |_| Vec::new());
    of_std.retain(|import| import.path.first().is_some_and(|name| name == "env"));
    of_std.iter().map(|import| format!("{}: {RULE}", import.line)).collect()
}

fn empty_names(path: &str, source: &Source) -> Vec<String> {
    const RULE: &str = "A module is named after what it holds";
    let mut broken = Vec::new();
    for name in NAMES_THAT_SAY_NOTHING {
        if path.split('/').any(|part| part.trim_end_matches(".rs") == name) {
            broken.push(format!("1: {RULE}, not {name}"));
        }
        let declared = source.lines_with(&["mod", name]);
        broken.extend(declared.iter().map(|line| format!("{line}: {RULE}, not {name}")));
    }
    broken
}

fn too_long(source: &Source) -> Option<String> {
    let lines = source.lines_without_tests;
    let rule = || format!("1: A file has at most {LONGEST_FILE} lines without tests, not {lines}");
    (lines > LONGEST_FILE).then(rule)
}

/// The `.rs` files under a folder with their texts. The path of a file begins at `src/`, or else at
/// the top of the repository.
fn rust_files(root: &Path, folder: &str) -> Vec<(String, String)> {
    let top = if folder == "src" { root.join("src") } else { root.to_owned() };
    let (mut files, mut folders) = (Vec::new(), vec![root.join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

//! The number of files in a folder, and `x/mod.rs` as the one style of a module with children.

use std::collections::{BTreeMap, BTreeSet};

use super::Breach;
use super::imports::is_test_file;

const MOST_FILES: usize = 14;

/// The folders and files that break a rule, by the paths of all files.
pub fn breaches<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<Breach> {
    let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut folders = BTreeSet::new();
    for (folder, name) in paths.filter_map(|path| path.rsplit_once('/')) {
        files.entry(folder).or_default().push(name);
        folders.extend(folder.match_indices('/').map(|(end, _)| &folder[..end]));
        folders.insert(folder);
    }
    let mut found = Vec::new();
    for (folder, names) in files {
        let is_counted = |name: &&&str| **name != "mod.rs" && !is_test_file(name);
        let count = names.iter().filter(is_counted).count();
        if count > MOST_FILES {
            let says = format!("0: A folder has at most {MOST_FILES} files, not {count}");
            found.push(Breach { rule: "folder", path: folder.to_owned(), says });
        }
        for name in names {
            let path = format!("{folder}/{name}");
            if folders.contains(path.trim_end_matches(".rs")) {
                let says = "1: A module with children is x/mod.rs, not x.rs beside x/".to_owned();
                found.push(Breach { rule: "module", path, says });
            }
        }
    }
    found
}

#[test]
fn a_crowded_folder_is_found_unless_tests_crowd_it() {
    let is_found = |count: usize, others: &[&str]| {
        let files: Vec<String> = (0..count).map(|number| format!("src/a/f{number}.rs")).collect();
        let paths = files.iter().map(String::as_str).chain(others.iter().copied());
        breaches(paths).iter().any(|breach| breach.rule == "folder" && breach.path == "src/a")
    };
    assert!(!is_found(MOST_FILES, &["src/a/mod.rs", "src/a/f_tests.rs", "src/a/tests.rs"]));
    assert!(!is_found(MOST_FILES, &["src/b.rs", "src/a/b/c.rs"]));
    assert!(is_found(MOST_FILES, &["src/a/other.rs"]));
}

#[test]
fn a_module_beside_its_folder_is_found() {
    let is_found = |paths: &[&str]| {
        let found = breaches(paths.iter().copied());
        found.iter().any(|breach| breach.rule == "module" && breach.path == "src/a.rs")
    };
    assert!(is_found(&["src/a.rs", "src/a/b.rs"]));
    assert!(is_found(&["src/a.rs", "src/a/b/c.rs"]));
    assert!(!is_found(&["src/a/mod.rs", "src/a/b.rs"]));
    assert!(!is_found(&["src/a.rs", "src/ab/c.rs"]));
}

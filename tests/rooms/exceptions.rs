//! The files and folders that broke a rule before the rule was made. The list only gets shorter: it
//! fails on a line that is not needed any more, and a new breach is mended, not added. The head of
//! `exceptions.txt` says how to take lines out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::Breach;

/// Rewrites the list without the lines that are not needed any more, if it is set.
const SHRINK: &str = "SYNCLINE_ROOMS_SHRINK";

pub struct Exceptions {
    path: PathBuf,
    head: String,
    lines: BTreeSet<String>,
}

impl Exceptions {
    pub fn read(root: &Path) -> Self {
        let path = root.join("tests/rooms/exceptions.txt");
        let text = fs::read_to_string(&path).unwrap();
        let (head, lines): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('#'));
        let head = head.iter().map(|line| format!("{line}\n")).collect();
        Self { path, head, lines: lines.into_iter().map(str::to_owned).collect() }
    }

    /// The breaches that are no exceptions, and the exceptions that are not needed any more. Those
    /// are taken out of the file instead, if whoever runs the test asks for it.
    pub fn judge(&self, breaches: &[Breach]) -> Vec<String> {
        let (mut broken, idle) = self.compare(breaches);
        if env::var_os(SHRINK).is_some() {
            let needed = self.lines.iter().filter(|line| !idle.contains(line.as_str()));
            let needed: String = needed.map(|line| format!("{line}\n")).collect();
            fs::write(&self.path, format!("{}{needed}", self.head)).unwrap();
        } else {
            const FILE: &str = "tests/rooms/exceptions.txt";
            let says = |line| format!("{FILE}: Not needed any more ({SHRINK}=1 drops it): {line}");
            broken.extend(idle.into_iter().map(says));
        }
        broken
    }

    /// The breaches that are no exceptions, and the exceptions that nothing needs.
    fn compare(&self, breaches: &[Breach]) -> (Vec<String>, BTreeSet<&str>) {
        let mut broken = Vec::new();
        let mut idle: BTreeSet<&str> = self.lines.iter().map(String::as_str).collect();
        for Breach { rule, path, says } in breaches {
            let line = format!("{rule} {path}");
            if self.lines.contains(&line) {
                idle.remove(line.as_str());
            } else {
                broken.push(format!("{path}:{says} [{rule}]"));
            }
        }
        (broken, idle)
    }
}

#[test]
fn an_exception_covers_its_rule_and_path_and_is_needed_as_long_as_it_does() {
    let lines = ["folder src/a", "words src/a.rs"].map(str::to_owned);
    let exceptions = Exceptions { path: PathBuf::new(), head: String::new(), lines: lines.into() };
    let breach =
        |rule, path: &str| Breach { rule, path: path.to_owned(), says: "7: No".to_owned() };

    let breaches =
        [breach("words", "src/a.rs"), breach("words", "src/b.rs"), breach("name", "src/a.rs")];
    let (broken, idle) = exceptions.compare(&breaches);
    assert_eq!(broken, ["src/b.rs:7: No [words]", "src/a.rs:7: No [name]"]);
    assert_eq!(idle.into_iter().collect::<Vec<_>>(), ["folder src/a"]);
}

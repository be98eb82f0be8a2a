//! The beginning of a doc line, the width of a comment, and the names that are no nouns.

use super::Breach;

/// A doc line is a sentence with a subject, and none of these is one.
#[rustfmt::skip]
const HEADLESS: [&str; 15] = [
    "What", "Whether", "Who", "Where", "How", "Of", "The same", "Which", "Why", "When", "From", "By",
    "At", "Until", "With",
];
const WIDEST_COMMENT: usize = 100;

/// Adverbs, prepositions and participles, and our own metaphors: somebody who looks for the thing
/// or the act in such a module would not open it.
#[rustfmt::skip]
const NAMES_THAT_ARE_NO_NOUNS: &[&str] = &[
    "after", "again", "agreed", "ahead", "apart", "aside", "before", "behind", "beside", "between",
    "beyond", "differing", "early", "foresee", "further", "here", "in_one", "kept", "known", "last",
    "late", "later", "leaving", "legs", "look", "looked", "of", "once", "overtaken", "own", "part",
    "put", "taken", "then", "there", "together", "told", "tries", "vouched", "went_in",
];

/// The words and names of a file that break a rule.
pub fn breaches(path: &str, text: &str) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut breach = |rule, line: usize, says: String| {
        found.push(Breach { rule, path: path.to_owned(), says: format!("{line}: {says}") });
    };
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    for (at, text) in lines.iter().enumerate() {
        let line = at + 1;
        let is_help = path.starts_with("src/edge/cli/") && is_help(&lines[at..]);
        if let Some(word) = headless(text).filter(|_| !is_help) {
            breach("words", line, format!("A doc line begins with its subject, not with {word}"));
        }
        let is_table_row = text.trim_start_matches(['/', '!', ' ']).starts_with('|');
        let is_wide = text.chars().count() > WIDEST_COMMENT;
        if text.starts_with("//") && is_wide && !is_table_row {
            breach("width", line, format!("A comment has at most {WIDEST_COMMENT} columns"));
        }
    }
    if let Some(name) = path.split('/').find_map(no_noun) {
        breach("name", 1, format!("A module is named after a thing or an act, not {name}"));
    }
    found
}

/// The word at the beginning of a doc line, or of a list item in it, that is no subject.
fn headless(line: &str) -> Option<&'static str> {
    let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
    let doc = doc.trim_start();
    let doc = doc.strip_prefix("- ").unwrap_or(doc);
    let begins = |word: &&str| {
        doc.strip_prefix(*word).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    HEADLESS.into_iter().find(begins)
}

/// Says whether clap shows these doc lines as the help of a command or an option, which ends
/// without a full stop.
fn is_help(lines: &[&str]) -> bool {
    let last = lines.iter().take_while(|line| line.starts_with("///")).last();
    last.is_some_and(|line| !line.ends_with('.'))
}

fn no_noun(part: &str) -> Option<&'static str> {
    let name = part.trim_end_matches(".rs").trim_end_matches("_tests");
    NAMES_THAT_ARE_NO_NOUNS.iter().copied().find(|no_noun| *no_noun == name)
}

#[test]
fn a_doc_line_without_a_subject_is_found() {
    let slashes = "//";
    let is_found =
        |doc: &str| !breaches("src/a.rs", &format!("fn f() {{}}\n  {slashes}{doc}")).is_empty();
    for doc in [
        "/ What it is.",
        "! Whether it is.",
        "/Where",
        "/ The same.",
        "/ Of it.",
        "/ - How",
        "/ Which it is.",
        "/ From it.",
        "! At it.",
        "/ With it.",
    ] {
        assert!(is_found(doc), "{doc}");
    }
    for doc in [
        "/ Whatever it is.",
        "/ The sameness.",
        "/ Says what it is.",
        " What it is.",
        "/ Offers",
        "/ Atoms",
    ] {
        assert!(!is_found(doc), "{doc}");
    }
    let found = breaches("src/a.rs", &format!("fn f() {{}}\n{slashes}/ Who it is."));
    assert_eq!(found[0].says, "2: A doc line begins with its subject, not with Who");
}

#[test]
fn the_help_of_an_option_may_begin_as_a_person_reads_it() {
    let help = format!("{}/ From when on", "//");
    assert!(breaches("src/edge/cli/gap/mod.rs", &help).is_empty());
    let sentence = format!("{help}\n{}/ it begins.", "//");
    assert_eq!(breaches("src/edge/cli/gap/mod.rs", &sentence).len(), 1);
    assert_eq!(breaches("src/edge/http/wire.rs", &help).len(), 1);
}

#[test]
fn a_wide_comment_is_found() {
    let comment = |width: usize| format!("// {}", "x".repeat(width - 3));
    assert!(breaches("src/a.rs", &comment(WIDEST_COMMENT)).is_empty());
    assert_eq!(breaches("src/a.rs", &comment(WIDEST_COMMENT + 1))[0].rule, "width");
    assert!(breaches("src/a.rs", &comment(150).replace("// ", "//! | ")).is_empty());
    assert!(breaches("src/a.rs", &format!("let a = \"{}\";", comment(150))).is_empty());
}

#[test]
fn a_name_that_is_no_noun_is_found_in_files_and_folders() {
    for path in ["src/a/aside.rs", "src/told/a.rs", "src/a/last_tests.rs", "tests/it/of/mod.rs"] {
        assert_eq!(breaches(path, "").len(), 1, "{path}");
    }
    for path in ["src/a/parts.rs", "src/last_page.rs", "tests/it/parents.rs"] {
        assert!(breaches(path, "").is_empty(), "{path}");
    }
}

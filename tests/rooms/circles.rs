//! No two files of src import each other, directly or around a corner.
//!
//! An arrow runs from the file that names a thing to the file that defines it, through every
//! re-export in between. So these are no arrows by themselves: `mod x;`; a `pub use`, unless the
//! file names the thing a second time; a `use` of a module, unless the file names something in it.
//! A folder's `mod.rs` may therefore declare and re-export its children, and they may use what it
//! re-exports; but a child that uses what `mod.rs` itself defines must not be used by `mod.rs`.
//! Tests draw no arrows. A method that is called on a value names no file, and draws none either.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Breach;
use super::imports::{imports, is_test_file, module_of};
use super::scan::{Import, ImportKind, Source};

/// The files that lie on a circle, each with the shortest circle through it. Paths begin at `src/`.
pub fn circles(files: &[(String, String)]) -> Vec<Breach> {
    let arrows = arrows(files);
    let mut found = Vec::new();
    for path in arrows.keys() {
        if let Some(circle) = shortest_circle(&arrows, path) {
            let says = format!("1: A file does not import itself: {}", circle.join(" -> "));
            found.push(Breach { rule: "circle", path: format!("src/{path}"), says });
        }
    }
    found
}

/// A file as a module, with the paths that its code names outside tests.
struct Module<'a> {
    path: &'a str,
    source: Source,
    imports: Vec<Import>,
}

type Modules<'a> = BTreeMap<Vec<String>, Module<'a>>;

fn arrows(files: &[(String, String)]) -> BTreeMap<&str, BTreeSet<&str>> {
    let files = files.iter().filter(|(path, _)| !is_test_file(path));
    let modules: Modules = files.map(|(path, text)| (module_of(path), read(path, text))).collect();
    let arrows = modules.values().map(|module| (module.path, named_files(module, &modules)));
    arrows.collect()
}

fn read<'a>(path: &'a str, text: &str) -> Module<'a> {
    let (name, source) = (module_of(path), Source::read(text));
    let mut found = imports(&name, &source);
    for child in source.declared_modules() {
        let child_path = [name.as_slice(), &[child.to_owned()]].concat();
        let in_child = source.paths(child, |_| child_path.clone());
        // `child as u64` is a variable.
        found.extend(in_child.into_iter().filter(|import| import.path != child_path));
    }
    found.retain(|import| !import.in_tests);
    Module { path, source, imports: found }
}

/// The other files that define what a file names.
fn named_files<'a>(module: &Module, modules: &Modules<'a>) -> BTreeSet<&'a str> {
    let mut named = BTreeSet::new();
    for import in &module.imports {
        let Some(definition) = definition(&import.path, modules, FURTHEST) else { continue };
        if definition.is_module && import.kind != ImportKind::Code {
            let through = module.source.paths(&import.name, |_| import.path.clone());
            let through = through.iter().filter(|path| !path.in_tests && path.path != import.path);
            let through =
                through.filter_map(|path| self::definition(&path.path, modules, FURTHEST));
            named.extend(through.map(|definition| definition.file));
        } else if import.kind != ImportKind::ReExport || is_named_again(import, module) {
            named.insert(definition.file);
        }
    }
    named.remove(module.path);
    named
}

fn is_named_again(import: &Import, module: &Module) -> bool {
    let names = module.source.tokens.iter().filter(|token| !token.in_tests);
    names.filter(|token| token.text == import.name).count() > 1
}

/// More re-exports than a name passes on its way.
const FURTHEST: usize = 16;

struct Definition<'a> {
    file: &'a str,
    /// The path names the file's module itself, and nothing in it.
    is_module: bool,
}

/// Follows a path through re-exports to the file that defines what it names.
fn definition<'a>(path: &[String], modules: &Modules<'a>, steps: usize) -> Option<Definition<'a>> {
    let mut splits = (0..=path.len()).rev().map(|end| path.split_at(end));
    let (module, inside) = splits.find_map(|(name, inside)| Some((modules.get(name)?, inside)))?;
    let Some((name, rest)) = inside.split_first().filter(|_| steps > 0) else {
        return Some(Definition { file: module.path, is_module: inside.is_empty() });
    };
    let brings_it = |import: &&Import| import.kind != ImportKind::Code && import.name == *name;
    match module.imports.iter().find(brings_it) {
        Some(import) => definition(&[&import.path, rest].concat(), modules, steps - 1),
        None => Some(Definition { file: module.path, is_module: false }),
    }
}

/// The shortest way from a file back to it, without its end.
fn shortest_circle<'a>(
    arrows: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    path: &'a str,
) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![path]]);
    let mut reached = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for &next in arrows.get(way[way.len() - 1]).into_iter().flatten() {
            if next == path {
                return Some([way.as_slice(), &[path]].concat());
            }
            if reached.insert(next) {
                ways.push_back([way.as_slice(), &[next]].concat());
            }
        }
    }
    None
}

/// The files on circles, with `:` behind a file's name and its text behind that.
#[cfg(test)]
fn on_circles(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<_> =
        files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
    circles(&files).into_iter().map(|breach| breach.path).collect()
}

#[test]
fn files_that_import_each_other_are_found_directly_and_around_a_corner() {
    let a = ("edge/a.rs", "use super::b::B;");
    assert_eq!(
        on_circles(&[a, ("edge/b.rs", "use crate::edge::a::A;")]),
        ["src/edge/a.rs", "src/edge/b.rs"]
    );
    assert_eq!(on_circles(&[a, ("edge/b.rs", "fn f() { super::a::f() }")]).len(), 2);
    let corner =
        [a, ("edge/b.rs", "use super::c;\nfn f() { c::f() }"), ("edge/c.rs", "use super::a::A;")];
    assert_eq!(on_circles(&corner).len(), 3);
    assert!(on_circles(&[a, ("edge/b.rs", "use super::c::C;"), ("edge/c.rs", "")]).is_empty());
    let found = circles(&corner.map(|(path, text)| (path.to_owned(), text.to_owned())));
    assert_eq!(
        found[0].says,
        "1: A file does not import itself: edge/a.rs -> edge/b.rs -> edge/c.rs -> edge/a.rs",
    );
}

#[test]
fn a_mod_file_that_declares_and_re_exports_is_on_no_circle() {
    let child = ("edge/a.rs", "use super::B;");
    let other = ("edge/b.rs", "pub struct B;");
    for parent in ["mod a; pub mod b; pub use b::B;", "mod a; mod b; use b::B;"] {
        assert!(on_circles(&[("edge/mod.rs", parent), child, other]).is_empty(), "{parent}");
    }
    let through = "mod a; mod b; pub use b::B; pub use a::A;";
    let asks = ("edge/b.rs", "use crate::edge::A;");
    assert_eq!(
        on_circles(&[("edge/mod.rs", through), child, asks]),
        ["src/edge/a.rs", "src/edge/b.rs"]
    );
}

#[test]
fn a_mod_file_and_a_child_that_use_each_other_are_found() {
    let child = ("edge/a.rs", "use super::Parent;");
    for parent in [
        "mod a; pub struct Parent(a::A);",
        "mod a; use a::A; pub struct Parent(A);",
        "mod a; pub use a::A; pub struct Parent(A);",
        "mod a; pub(crate) use self::a::{A, B}; pub struct Parent(B);",
        "mod a; use crate::edge::a; pub struct Parent(a::A);",
        "pub mod a; pub struct Parent; impl Parent { fn f() { crate::edge::a::f() } }",
    ] {
        let found = on_circles(&[("edge/mod.rs", parent), child]);
        assert_eq!(found, ["src/edge/a.rs", "src/edge/mod.rs"], "{parent}");
    }
    for parent in [
        "mod a; pub struct Parent;",
        "mod a; pub use a::A; pub struct Parent;",
        "mod a; pub struct Parent; fn f(a: u8) -> u64 { a as u64 }",
        "mod a; pub struct Parent; #[cfg(test)] mod tests { use super::a::A; }",
    ] {
        assert!(on_circles(&[("edge/mod.rs", parent), child]).is_empty(), "{parent}");
    }
}

#[test]
fn a_module_is_not_imported_for_being_named_but_for_what_is_named_in_it() {
    let parent = ("edge/mod.rs", "pub mod a; pub mod b; pub use b::B; pub fn f() { a::f() }");
    let b = ("edge/b.rs", "pub struct B;");
    let a = |text| on_circles(&[parent, ("edge/a.rs", text), b]);
    assert!(a("use crate::edge; pub fn f() { edge::B; edge::b::g() }").is_empty());
    assert_eq!(a("use crate::edge; pub fn f() { edge::f() }").len(), 2);
    assert_eq!(a("use crate::edge as e; pub fn f() { e::f() }").len(), 2);
    assert_eq!(a("use super::*;").len(), 2);
}

#[test]
fn tests_draw_no_arrows() {
    let a = ("edge/a.rs", "use super::b::B;");
    assert!(
        on_circles(&[a, ("edge/b.rs", "#[cfg(test)] mod tests { use crate::edge::a; use a::A; }")])
            .is_empty()
    );
    assert!(
        on_circles(&[
            ("edge/a.rs", "use super::b_tests::B;"),
            ("edge/b_tests.rs", "use super::a::A;")
        ])
        .is_empty()
    );
}

//! The paths of ours that a file of src names, and the module that it is.

use super::scan::{Import, Source};

/// The paths of ours that a file names.
pub fn imports(module: &[String], source: &Source) -> Vec<Import> {
    let here = |inside: &[String]| [module, inside].concat();
    let above = |inside: &[String]| {
        let mut here = here(inside);
        here.pop();
        here
    };
    // To a binary `crate` is the binary, and the library has a name.
    let is_binary = module.first().is_some_and(|room| room == "bin");
    let root = |_: &[String]| if is_binary { module.to_vec() } else { Vec::new() };
    let mut found = source.paths("crate", root);
    found.extend(source.paths("syncline", |_| Vec::new()));
    found.extend(source.paths("super", above));
    found.extend(source.paths("self", here));
    found.sort_by_key(|import| import.line);
    found
}

/// The path of the module that a file under `src/` holds.
pub fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
}

/// Says whether a file under `src/` holds tests alone.
pub fn is_test_file(path: &str) -> bool {
    let is_tests = |part: &str| part == "tests" || part.ends_with("_tests");
    path.split('/').any(|part| is_tests(part.trim_end_matches(".rs")))
}

//! The rules tried on files that break them and on files that only look as if they did.

use super::{LONGEST_FILE, broken_rules};

fn is_broken(path: &str, text: &str) -> bool {
    !broken_rules(path, text).is_empty()
}

/// A file that imports each of these paths in turn, and whether it breaks a rule by that.
fn each_breaks(path: &str, imports: &[&str]) {
    for import in imports {
        let text = format!("use {import};\n");
        assert!(is_broken(path, &text), "src/{path} may say `use {import}`");
    }
}

fn none_breaks(path: &str, imports: &[&str]) {
    for import in imports {
        let broken = broken_rules(path, &format!("use {import};\n"));
        assert!(broken.is_empty(), "src/{path} may not say `use {import}`: {broken:?}");
    }
}

#[test]
fn the_model_imports_itself_alone() {
    none_breaks(
        "engine/model/page.rs",
        &["crate::engine::model::table::TableName", "super::table"],
    );
    each_breaks(
        "engine/model/page.rs",
        &["crate::engine::plan::order", "crate::jobs::Job", "super::super::ports::Source"],
    );
    each_breaks("engine/model/page.rs", &["crate::engine", "crate::engine::*", "crate::*"]);
}

#[test]
fn a_plan_and_the_ports_import_the_model() {
    none_breaks("engine/plan/order.rs", &["crate::engine::model::table", "super::window::Window"]);
    each_breaks("engine/plan/order.rs", &["crate::engine::ports::Source", "super::super::drive"]);
    none_breaks("engine/ports.rs", &["crate::engine::model::page::Page", "super::model"]);
    each_breaks("engine/ports.rs", &["super::plan::order", "crate::engine::drive::advance"]);
}

#[test]
fn the_drive_imports_the_engine_and_nothing_above_or_outside() {
    none_breaks(
        "engine/drive/advance.rs",
        &["crate::engine::{model, plan, ports::{self, Target}}"],
    );
    each_breaks(
        "engine/drive/advance.rs",
        &[
            "crate::jobs::Ports",
            "crate::adapters::postgres",
            "crate::edge::http",
            "crate::settings",
        ],
    );
}

#[test]
fn a_job_imports_no_other_job() {
    let path = "jobs/sync_tables/mod.rs";
    none_breaks(
        path,
        &["crate::engine", "super::{Outcome, Ports}", "crate::jobs::Job", "self::plan"],
    );
    none_breaks(path, &["crate::jobs::sync_tables::ports::Peer"]);
    each_breaks(path, &["crate::jobs::verify::Verify", "super::verify", "super::*", "crate::jobs"]);
    each_breaks(
        path,
        &["crate::adapters::memory", "crate::edge", "crate::settings", "crate::demo"],
    );
    none_breaks("jobs/sync_tables/plan.rs", &["super::SyncTables"]);
    each_breaks("jobs/sync_tables/plan.rs", &["super::super::verify::Verify"]);
    none_breaks("jobs/mod.rs", &["self::verify::Verify", "crate::jobs::sync_tables::SyncTables"]);
    each_breaks("jobs/mod.rs", &["crate::adapters::postgres"]);
}

#[test]
fn an_adapter_imports_no_other_adapter() {
    let path = "adapters/mailerlite/client.rs";
    none_breaks(
        path,
        &["crate::engine::{model::page::Page, ports::Source}", "crate::adapters::api::http"],
    );
    none_breaks(path, &["crate::jobs::contacts::ports::Subscribers", "super::wire"]);
    each_breaks(path, &["crate::adapters::postgres", "super::super::qstash", "super::super::*"]);
    each_breaks(
        path,
        &["crate::jobs::contacts::Contacts", "crate::jobs::Job", "crate::edge::http"],
    );
    each_breaks(path, &["crate::engine::drive", "crate::engine::plan::order", "crate::engine"]);
    none_breaks("adapters/mod.rs", &["self::postgres", "crate::adapters::postgrest"]);
    each_breaks("adapters/api/http.rs", &["crate::adapters::qstash", "crate::settings"]);
}

#[test]
fn the_edge_knows_the_app_and_no_adapter() {
    let path = "edge/http/routes.rs";
    none_breaks(
        path,
        &["crate::{jobs::{self, Job}, engine, wiring::App}", "super::auth", "super::*"],
    );
    each_breaks(path, &["crate::adapters::postgres", "crate::wiring::build", "crate::wiring"]);
    each_breaks(path, &["crate::settings::Settings", "crate::demo", "crate::telemetry"]);
    none_breaks("edge/cli/demo/mod.rs", &["crate::demo::cluster::Cluster"]);
    none_breaks("edge/cli/demo/stage.rs", &["crate::demo::cluster::Cluster"]);
    each_breaks("edge/cli/demo/mod.rs", &["crate::adapters::postgres"]);
    each_breaks("edge/cli/run.rs", &["crate::demo::cluster::Cluster"]);
    none_breaks("edge/cli/local/qstash.rs", &["crate::demo::qstash::LocalQStash", "super::serve"]);
    each_breaks("edge/cli/local/qstash.rs", &["crate::demo::Cluster", "crate::jobs::Job"]);
}

#[test]
fn the_outer_rooms_keep_their_places() {
    none_breaks("settings/toml.rs", &["crate::engine::model::table", "super::environment"]);
    each_breaks(
        "settings/toml.rs",
        &["crate::engine::plan::order", "crate::jobs", "crate::wiring"],
    );
    none_breaks("wiring.rs", &["crate::{adapters, engine, jobs, settings, telemetry}"]);
    each_breaks("wiring.rs", &["crate::edge::http", "crate::demo", "super::*"]);
    each_breaks("telemetry.rs", &["crate::settings::Settings"]);
    none_breaks(
        "bin/function.rs",
        &["syncline::{edge, settings, telemetry, wiring}", "crate::args"],
    );
    each_breaks("bin/function.rs", &["syncline::adapters", "syncline::demo", "syncline::engine"]);
    none_breaks("demo/cluster.rs", &["super::postgres", "crate::demo::postgres", "std::env"]);
    each_breaks("demo/cluster.rs", &["crate::engine::model::table", "super::super::settings"]);
    each_breaks("lib.rs", &["crate::engine::model", "self::edge"]);
}

#[test]
fn a_file_outside_the_rooms_is_found() {
    assert!(is_broken("sync.rs", ""));
    assert!(is_broken("engine/order.rs", ""));
    assert!(is_broken("storage/mod.rs", ""));
}

#[test]
fn a_path_in_the_middle_of_code_counts_as_an_import() {
    let path = "edge/http/routes.rs";
    let code = [
        "fn f() { crate::adapters::open(url) }",
        "fn f(a: &dyn crate::adapters::Open) {}",
        "fn f() -> Vec<crate::adapters::postgres::Client> { todo() }",
        "macro_rules! m { () => { $crate::adapters::open() } }",
        "pub(in crate::adapters) fn f() {}",
        "fn f() { let c = '\"'; crate::adapters::open(); let d = '\"'; }",
        "fn f<'a>(a: &'a str) { crate::adapters::open(a) }",
        "fn f() { r#\"\"#; crate::adapters::open() }",
        "/* a /* nested */ comment */ use crate::adapters;",
        "use {std::fmt, crate::adapters};",
        "use crate::{engine::model, jobs::{self, Job}, adapters as outside};",
        "use crate as ours;",
        "mod inner { use super::super::super::super::adapters::open; }",
        "mod inner {} use super::super::super::adapters::open;",
        "use crate::engine::model; use crate\n    ::adapters;",
    ];
    for code in code {
        assert!(is_broken(path, code), "{code}");
    }
}

#[test]
fn comments_strings_and_tests_are_no_imports() {
    let path = "edge/http/routes.rs";
    let code = [
        "//! See crate::adapters::postgres.\n// use crate::adapters;",
        "/* use crate::adapters; /* and */ use crate::adapters; */",
        "const A: &str = \"use crate::adapters; \\\" crate::adapters::x\";",
        "const A: &str = r#\"a \" crate::adapters::x\"#;",
        "const A: &[u8] = br\"crate::adapters::x\";",
        "const A: &[u8] = br#\"a \" crate::adapters::x\"#;",
        "mod inner { use super::super::super::overview; }",
        "pub(crate) fn f() {} pub(super) fn g() {}",
        "mod inner { use super::super::auth; mod deeper { use super::super::*; } }",
        "#[cfg(test)]\nmod tests { use super::*; use crate::adapters::memory; }",
        "fn f() { other::crate_::adapters() }",
        "fn f() { match x { X { a } => crate::jobs::Job { a }, } }",
    ];
    for code in code {
        assert_eq!(broken_rules(path, code), Vec::<String>::new(), "{code}");
    }
}

#[test]
fn tests_may_use_real_adapters_except_where_things_are_decided() {
    let import = "use crate::adapters::postgres::Client;";
    assert!(!is_broken("jobs/verify/tests.rs", import));
    assert!(!is_broken("edge/http/signature/tests/refused.rs", import));
    assert!(is_broken("engine/plan/tests.rs", import));
    let inline = format!("#[cfg(test)] mod tests {{ {import} }}");
    assert!(!is_broken("jobs/verify/mod.rs", &inline));
    assert!(is_broken("jobs/verify/plan.rs", &inline));
    assert!(is_broken("jobs/verify/mod.rs", &format!("{inline} {import}")));
}

#[test]
fn a_decision_neither_waits_nor_looks_around() {
    let impure = [
        "async fn f() {}",
        "fn f() { later.await; }",
        "fn f() { std::time::SystemTime::now() }",
        "fn f() { clock.now () }",
        "fn f() { env::var(\"A\") }",
    ];
    for code in impure {
        for path in ["engine/model/run.rs", "engine/plan/window.rs", "jobs/verify/plan.rs"] {
            assert!(is_broken(path, code), "src/{path}: {code}");
        }
        assert!(is_broken("jobs/verify/plan/ranges.rs", code), "{code}");
    }
    for code in &impure[..4] {
        assert!(!is_broken("jobs/verify/mod.rs", code), "{code}");
    }
    for code in
        ["fn f(now: Time) { g(now) }", "// async, now()\nfn f() {}", "fn f() { env!(\"A\") }"]
    {
        assert!(!is_broken("engine/plan/window.rs", code), "{code}");
    }
}

#[test]
fn only_settings_binaries_and_the_demo_read_the_environment() {
    let readers = ["use std::env;", "use std::{env, fs};", "fn f() { std::env::var(\"A\"); }"];
    for code in readers {
        for path in ["jobs/verify/mod.rs", "adapters/api/http.rs", "edge/cli/run.rs", "wiring.rs"] {
            assert!(is_broken(path, code), "src/{path}: {code}");
        }
        for path in ["settings/environment.rs", "bin/syncline.rs", "demo/cluster.rs"] {
            assert!(!is_broken(path, code), "src/{path}: {code}");
        }
    }
}

#[test]
fn a_module_named_after_nothing_is_found() {
    for name in ["util", "utils", "common", "helpers", "misc", "types", "manager"] {
        assert!(is_broken(&format!("edge/http/{name}.rs"), ""));
        assert!(is_broken(&format!("edge/{name}/wire.rs"), ""));
        assert!(is_broken("edge/http/wire.rs", &format!("mod {name} {{}}")));
    }
    assert!(!is_broken("edge/http/wire.rs", "mod utilities {} fn common() {}"));
}

#[test]
fn a_long_file_is_found_unless_its_tests_make_it_long() {
    let lines = |count: usize| "fn f() {}\n".repeat(count);
    assert!(!is_broken("edge/mod.rs", &lines(LONGEST_FILE)));
    assert!(is_broken("edge/mod.rs", &lines(LONGEST_FILE + 1)));
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(LONGEST_FILE));
    assert!(!is_broken("edge/mod.rs", &format!("{}{tests}", lines(LONGEST_FILE))));
    assert!(is_broken("edge/mod.rs", &format!("{}{tests}", lines(LONGEST_FILE + 1))));
    let elsewhere = format!("#[cfg(test)]\nmod tests;\n{}", lines(LONGEST_FILE + 1));
    assert!(is_broken("edge/mod.rs", &elsewhere));
}

#[test]
fn a_broken_rule_is_told_with_its_line_and_its_sentence() {
    let text = "//! A file.\n\nuse crate::{\n    engine,\n    adapters::postgres,\n};\n";
    assert_eq!(
        broken_rules("edge/http/routes.rs", text),
        ["5: The edge imports jobs, the engine and wiring's App, never adapters; \
          edge/cli/demo and edge/cli/local alone start demo (adapters::postgres)"],
    );
}

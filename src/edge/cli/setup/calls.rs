//! The checks of the function's callers: QStash, its signing keys, the function's public URL, and
//! the schedules.

use crate::edge::calling::{self, HEALTH_PATH};
use crate::edge::cli::schedule::minute;
use crate::edge::cli::terminal::checks::{Check, Checks};
use crate::edge::schedules::{create, list};
use crate::edge::text::timestamp;
use crate::engine::model::fault::Fault;
use crate::engine::model::secret::SecretText;
use crate::jobs::schedules::ScheduleUpdate;
use crate::wiring::App;

const KEYS: &str = "signing keys";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes these checks, and makes or corrects the schedules.
pub async fn check(app: &App, checks: &mut Checks) {
    let keys = async { app.schedules()?.signing_keys().await }.await;
    let reached = match &keys {
        Ok(_) => Check::ok("QStash", "reached, and it accepts the token"),
        Err(fault) => Check::fault("QStash", fault),
    };
    let has_qstash = checks.add(reached);
    let has_keys = checks.add(signing_keys(app, keys.ok().as_ref()));
    let has_url = function(app, checks).await;
    let needs = match (has_qstash, has_keys, has_url) {
        (false, ..) => Some("QStash"),
        (true, false, _) => Some(KEYS),
        (true, true, false) => Some("APP_URL"),
        (true, true, true) => None,
    };
    for name in app.names() {
        let schedules = match needs {
            None => schedules(app, name).await,
            Some(needs) => vec![Check::skipped("schedule", needs)],
        };
        for check in schedules {
            checks.add(check.of(name));
        }
    }
    if needs.is_none() {
        others(app, checks).await;
    }
}

fn signing_keys(app: &App, qstash: Option<&[SecretText; 2]>) -> Check {
    let set = [&app.current_key, &app.next_key].map(|key| key.as_ref().map(SecretText::expose));
    let Some(current) = set[0] else {
        let found = "QSTASH_CURRENT_SIGNING_KEY is not set: scheduled calls are refused";
        return Check::fail(KEYS, found, SET_KEYS);
    };
    match qstash {
        None => Check::skipped(KEYS, "QStash"),
        Some(qstash_keys) => {
            key_check(current, set[1], qstash_keys.each_ref().map(SecretText::expose))
        }
    }
}

const SET_KEYS: &str = "set QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY as the Upstash \
    console shows them, here and for the function";

/// Compares the keys of the settings with QStash's own. No key is ever printed.
fn key_check(current: &str, next: Option<&str>, qstash_keys: [&str; 2]) -> Check {
    let [their_current, their_next] = qstash_keys;
    let found = match (current == their_current, next) {
        (true, Some(next)) if next == their_next => {
            return Check::ok(KEYS, "current and next are QStash's own");
        }
        (true, None) => {
            let found = "QSTASH_NEXT_SIGNING_KEY is not set: calls are refused after a rotation";
            return Check::warn(KEYS, found, SET_KEYS);
        }
        (true, Some(_)) => "the next key is not QStash's: calls are refused after a rotation",
        (false, Some(next)) if next == their_current && current == their_next => {
            "current and next are set the wrong way round"
        }
        (false, Some(next)) if next == their_current => {
            "QStash's keys were rotated: it signs with the one that is set as the next, and a second \
             rotation locks it out"
        }
        (false, _) => {
            "QStash signs with another key, which the function refuses; these are of another \
             account or region, or the keys were rotated twice"
        }
    };
    Check::fail(KEYS, found, SET_KEYS)
}

/// Checks that the function answers at its public URL. If it does not, that is only a warning: the
/// function may be deployed later, or this machine may not be able to reach it.
async fn function(app: &App, checks: &mut Checks) -> bool {
    const NAME: &str = "function";
    let url = match calling::url_of(app, HEALTH_PATH) {
        Ok(url) => url,
        Err(fault) => {
            checks.add(Check::fault(NAME, &fault));
            checks.add(Check::skipped("version", "APP_URL"));
            return false;
        }
    };
    match app.public_function().version(&url).await {
        Ok(version) => {
            checks.add(Check::ok(NAME, format!("it answers at {url}")));
            checks.add(match version == VERSION {
                true => Check::ok("version", format!("the function's is ours, {VERSION}")),
                false => Check::warn(
                    "version",
                    format!("the function's is {version}, ours is {VERSION}"),
                    "deploy the function anew, or use the program of its version",
                ),
            });
        }
        Err(error) => {
            let remedy = "deploy the function, and check that APP_URL is its public URL; scheduled \
                calls fail until it answers";
            checks.add(Check::warn(NAME, format!("{url}: {error}"), remedy));
            checks.add(Check::skipped("version", "function"));
        }
    }
    true
}

async fn schedules(app: &App, pipeline: &str) -> Vec<Check> {
    match create(app, Some(pipeline)).await {
        Ok(created) => created.iter().map(schedule_check).collect(),
        Err(fault) => vec![Check::fault("schedule", &fault)],
    }
}

fn schedule_check(created: &ScheduleUpdate) -> Check {
    let ScheduleUpdate { planned, is_new, differences, is_paused } = created;
    let id = &planned.id;
    let done = match (is_new, differences.as_slice()) {
        (true, _) => format!("{id} is created"),
        (false, []) => format!("{id} is in order"),
        (false, points) => format!("{id} is brought up to date ({})", points.join(", ")),
    };
    if *is_paused {
        let found = format!("{done}, but paused: nothing is scheduled");
        return Check::warn("schedule", found, format!("syncline schedule resume {id}"));
    }
    let next = planned.cron.after(std::time::SystemTime::now()).next().map(timestamp);
    let next = next.map(|next| format!("; it runs next at {}", minute(&next)));
    Check::ok("schedule", format!("{done}{}", next.unwrap_or_default()))
}

/// Warns of other schedules, which move rows more often or from other sources than the settings
/// say.
async fn others(app: &App, checks: &mut Checks) {
    let list: Result<_, Fault> = list(app).await;
    let schedules = list.map(|list| list.schedules).unwrap_or_default();
    let home = calling::home(app).unwrap_or_default();
    for other in schedules.iter().filter(|schedule| schedule.pipeline.is_none()) {
        let (id, destination) = (&other.schedule_id, &other.destination);
        let found = match destination.starts_with(home) {
            true => format!("{id} calls this function too, and is of no pipeline here"),
            false => format!("{id} calls {destination}, which writes the same target"),
        };
        let remedy = format!("if nobody needs it: syncline schedule delete {id}");
        checks.add(Check::warn("schedule", found, remedy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::cli::terminal::checks::Mark;

    #[test]
    fn keys_that_are_not_qstashs_are_told_by_what_is_wrong_and_never_by_their_text() {
        for (current, next, mark, told) in [
            ("sig_1", Some("sig_2"), Mark::Ok, "QStash's own"),
            ("sig_1", None, Mark::Warn, "is not set"),
            ("sig_1", Some("sig_0"), Mark::Fail, "the next key is not"),
            ("sig_2", Some("sig_1"), Mark::Fail, "wrong way round"),
            ("sig_0", Some("sig_1"), Mark::Fail, "rotated"),
            ("sig_2", None, Mark::Fail, "another key"),
            ("sig_3", Some("sig_4"), Mark::Fail, "another key"),
        ] {
            let check = key_check(current, next, ["sig_1", "sig_2"]);
            assert_eq!(check.mark, mark, "{current} {next:?}");
            assert!(check.found.contains(told), "{check:?}");
            assert!(!format!("{check:?}").contains("sig_"), "{check:?}");
        }
    }
}

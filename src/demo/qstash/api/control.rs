//! The routes that steer deliveries: `flowControl` and `keys`.

use serde_json::json;

use super::call::{Answer, Call, no_route, number};
use crate::demo::qstash::desk::Desk;
use crate::demo::qstash::state::Flow;
use crate::demo::qstash::terms;
use crate::demo::qstash::{Named, Refused, wire};

/// The limit of everything, as the answer tells it; nothing here enforces it.
const GLOBAL_PARALLELISM: u32 = 100;

pub(super) fn flows(desk: &Desk, call: &Call, named: &[&str]) -> Result<Answer, Refused> {
    let mut state = desk.state();
    match (call.method.as_str(), named) {
        ("GET", []) => {
            let told = state.flows().map(|flow| wire::flow(flow, state.flow_load(flow.key())));
            Ok(Answer::with(told.collect()))
        }
        ("GET", [key]) => {
            let load = state.flow_load(key);
            state.flow(key).map(|flow| Answer::with(wire::flow(flow, load)))
        }
        ("POST", [key, "pause"]) => {
            state.flow_on_demand(key).is_paused = true;
            Ok(Answer::empty())
        }
        ("POST", [key, "resume"]) => {
            state.flow(key)?.is_paused = false;
            Ok(Answer::empty())
        }
        ("POST", [key, "pin"]) => {
            pin(state.flow_on_demand(key), &call.asked()).map(|()| Answer::empty())
        }
        ("POST", [key, "unpin"]) => {
            let (flow, asked) = (state.flow(key)?, call.asked());
            let is_asked = |name: &str| asked.named(name) == Some("true");
            flow.pins_parallelism &= !is_asked("parallelism");
            flow.pins_rate &= !is_asked("rate");
            Ok(Answer::empty())
        }
        ("POST", [key, "resetRate"]) => {
            state.flow(key)?.begun = 0;
            Ok(Answer::empty())
        }
        _ => Err(no_route()),
    }
}

/// Sets limits that messages do not change any more.
fn pin(flow: &mut Flow, asked: &[(String, String)]) -> Result<(), Refused> {
    let count = |name: &str| {
        let number = number(asked, name)?;
        Ok::<_, Refused>(number.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
    };
    let (parallelism, rate) = (count("parallelism")?, count("rate")?);
    let period = asked.named("period").map(terms::period).transpose()?;
    if parallelism.is_some() {
        flow.limits.parallelism = parallelism;
        flow.pins_parallelism = true;
    }
    if rate.is_some() {
        flow.limits.rate = rate;
        flow.limits.period = period.unwrap_or(flow.limits.period);
        flow.pins_rate = true;
    }
    Ok(())
}

pub(super) fn global(desk: &Desk) -> Answer {
    let active = desk.state().active();
    Answer::with(json!({
        "parallelismMax": GLOBAL_PARALLELISM,
        "parallelismCount": active,
    }))
}

pub(super) fn keys(desk: &Desk, call: &Call, named: &[&str]) -> Result<Answer, Refused> {
    let keys = match (call.method.as_str(), named) {
        ("GET", []) => desk.keys(),
        ("POST", ["rotate"]) => desk.rotate(),
        _ => return Err(no_route()),
    };
    Ok(Answer::with(json!({ "current": keys.current, "next": keys.next })))
}

//! The routes that a call of its own and a call in a batch have in common.

use super::call::{Answer, Call, Context};
use super::{fields, groups, subscribers, webhooks};
use crate::demo::mailerlite::Refusal;

/// Answers a call.
pub(super) fn route(context: &mut Context, call: &Call) -> Result<Answer, Refusal> {
    let segments = call.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        ["subscribers", ref rest @ ..] => subscribers::route(context, call, rest),
        ["groups", ref rest @ ..] => groups::route(context, call, rest),
        ["fields", ref rest @ ..] => fields::route(context, call, rest),
        ["webhooks", ref rest @ ..] => webhooks::route(context, call, rest),
        _ => Err(call.route_refusal()),
    }
}

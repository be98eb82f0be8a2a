//! Decides which schedules are ours, and in which points they differ from what they ought to be.

use super::ports::{Found, Wanted};

/// A schedule of this deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The pipeline whose schedule it is; none for one that was made by hand.
    pub wanted: Option<Wanted>,
    /// The queue's schedule; none if somebody deleted it, or nobody made it yet.
    pub found: Option<Found>,
    /// The comparison of the two.
    pub standing: Standing,
}

/// The comparison of a schedule with what it ought to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The schedule is as it ought to be.
    InOrder,
    /// The schedule differs in these points.
    Outdated(Vec<&'static str>),
    /// The schedule does not exist.
    Missing,
    /// The schedule calls this deployment, and was not made by it.
    Foreign,
}

/// Lists the wanted schedules, each with the one that exists, and then all others that call this
/// deployment.
pub fn listed(wanted: &[Wanted], found: Vec<Found>, syncs: &str) -> Vec<Listed> {
    let (named, others): (Vec<Found>, Vec<Found>) = found
        .into_iter()
        .filter(|found| is_ours(found, wanted, syncs))
        .partition(|found| wanted.iter().any(|wanted| wanted.id.as_str() == found.id));
    let own = wanted.iter().map(|wanted| {
        let found = named.iter().find(|found| found.id == wanted.id.as_str()).cloned();
        let standing = match &found {
            None => Standing::Missing,
            Some(found) => match differences(wanted, found) {
                none if none.is_empty() => Standing::InOrder,
                some => Standing::Outdated(some),
            },
        };
        Listed { wanted: Some(wanted.clone()), found, standing }
    });
    let others = others.into_iter().map(|found| Listed {
        wanted: None,
        found: Some(found),
        standing: Standing::Foreign,
    });
    own.chain(others).collect()
}

/// Says whether a schedule belongs to this deployment: it calls for a sync here, or it carries the
/// label that stays when the public URL changes. Other jobs of the same application are not ours.
pub fn is_ours(found: &Found, wanted: &[Wanted], syncs: &str) -> bool {
    let carries_ours = |wanted: &Wanted| found.labels.contains(&wanted.terms.label);
    found.destination.starts_with(syncs) || wanted.iter().any(carries_ours)
}

/// The schedules of the same pipeline that an earlier name of this deployment left: they carry its
/// label, and call the address of the wanted one.
pub fn superseded(wanted: &Wanted, all: &[Wanted], found: Vec<Found>) -> Vec<String> {
    let is_old = |found: &Found| {
        all.iter().all(|other| found.id != other.id.as_str())
            && found.destination == wanted.url
            && found.labels.contains(&wanted.terms.label)
    };
    found.into_iter().filter(is_old).map(|found| found.id).collect()
}

/// The points in which a schedule is not what it ought to be, by the names people know them by.
pub fn differences(wanted: &Wanted, found: &Found) -> Vec<&'static str> {
    let Wanted { pipeline: _, id: _, cron, url, body, terms } = wanted;
    let points = [
        ("cron", found.cron == cron.to_string()),
        ("destination", found.destination == *url),
        ("method", found.method == "POST"),
        ("body", found.body.as_deref() == Some(body)),
        ("retries", found.retries == Some(terms.retries)),
        ("retry delay", found.retry_delay == terms.retry_delay),
        ("timeout", found.timeout == Some(terms.timeout)),
        ("failure callback", found.failure_url.as_deref() == Some(&terms.failure_url)),
        (
            "flow control",
            found.flow.as_deref() == Some(&terms.flow) && found.parallelism == Some(1),
        ),
        ("label", found.labels.contains(&terms.label)),
    ];
    points.into_iter().filter(|(_, is_equal)| !is_equal).map(|(name, _)| name).collect()
}

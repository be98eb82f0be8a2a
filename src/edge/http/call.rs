//! What a call tells besides its body: who says to have sent it, and until when it may run.

use std::time::{Duration, SystemTime};

use axum::http::{Extensions, HeaderMap};

/// What must remain of an invocation for the answer to leave, and for a commit that takes longer
/// than the ones before it.
const DEADLINE_MARGIN: Duration = Duration::from_secs(2);

/// A deadline that lies further back is no deadline: `cargo lambda watch` sends one of 1970.
const ABSURD: Duration = Duration::from_secs(24 * 60 * 60);

/// The value of a header that is text.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Until when the work of this invocation may go on; none outside Lambda and where the deadline
/// makes no sense.
pub fn deadline(extensions: &Extensions, now: SystemTime) -> Option<SystemTime> {
    let context = extensions.get::<lambda_http::Context>()?;
    usable(context.deadline, now)
}

fn usable(deadline_ms: u64, now: SystemTime) -> Option<SystemTime> {
    let deadline = SystemTime::UNIX_EPOCH + Duration::from_millis(deadline_ms);
    if now.duration_since(deadline).is_ok_and(|past| past > ABSURD) {
        tracing::debug!(deadline_ms, "The invocation's deadline makes no sense and is not used");
        return None;
    }
    Some(deadline - DEADLINE_MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_of_1970_counts_as_unknown() {
        assert_eq!(usable(600_000, SystemTime::now()), None);
    }

    #[test]
    fn a_deadline_is_kept_with_its_margin() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert_eq!(usable(1_000_000_060_000, now), Some(now + Duration::from_secs(58)));
        assert!(usable(999_999_999_000, now).is_some(), "one that has just passed is one");
    }
}

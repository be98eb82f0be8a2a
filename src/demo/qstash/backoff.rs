//! The delay before a failed message is retried: the one of the answer's `Retry-After`, or else the
//! one of the message's own expression, or else the documented curve.

use super::expression;
use super::spans::DAY;
use super::terms::Terms;
use super::{HeaderLookup, Millis};
use crate::demo::courier::DeliveryOutcome;

/// The delay between a failed attempt and the next one, after `retried` retries.
pub fn delay(terms: &Terms, retried: u32, outcome: &DeliveryOutcome) -> Millis {
    let retry_after = match outcome {
        DeliveryOutcome::Answered { headers, .. } => retry_after(headers),
        DeliveryOutcome::Failed { .. } | DeliveryOutcome::Late { .. } => None,
    };
    retry_after.unwrap_or_else(|| match &terms.retry_delay {
        Some(text) => expression::evaluate(text, retried).unwrap_or(0).min(DAY),
        None => curve(retried + 1),
    })
}

/// The documented curve: 12 s, 2 min 28 s, 30 min 8 s, 6 h 7 min, then a day, in whole seconds.
fn curve(retry: u32) -> Millis {
    ((2.5 * f64::from(retry)).exp().min(86_400.0) as Millis) * 1000
}

fn retry_after(headers: &[(String, String)]) -> Option<Millis> {
    let seconds = headers.value("retry-after")?.trim().parse::<u64>().ok()?;
    // QStash ignores more than a day.
    seconds.checked_mul(1000).filter(|delay| *delay <= DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(headers: &[(&str, &str)]) -> DeliveryOutcome {
        let headers = headers.iter().map(|(n, v)| (String::from(*n), String::from(*v))).collect();
        DeliveryOutcome::Answered { status: 500, headers, body: Vec::new() }
    }

    fn after(asked: &[(&str, &str)], headers: &[(&str, &str)], retried: u32) -> Millis {
        let asked: Vec<_> = asked.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        delay(&Terms::read(&asked).unwrap(), retried, &answered(headers))
    }

    #[test]
    fn the_curve_is_the_documented_one() {
        let seconds: Vec<u64> = (1..=6).map(|retry| curve(retry) / 1000).collect();
        assert_eq!(seconds, [12, 148, 1808, 22_026, 86_400, 86_400]);
    }

    #[test]
    fn the_answer_may_choose_the_delay() {
        let cases = [
            (("retry-after", "90"), 90_000),
            (("retry-after", "86401"), 12_000),
            (("retry-after", "soon"), 12_000),
        ];
        for (header, expected) in cases {
            assert_eq!(after(&[], &[header], 0), expected, "{header:?}");
        }
    }

    #[test]
    fn the_message_s_expression_counts_unless_the_answer_chose() {
        let asked = [("upstash-retry-delay", "1000 * (1 + retried)")];
        assert_eq!(after(&asked, &[], 0), 1000);
        assert_eq!(after(&asked, &[], 2), 3000);
        assert_eq!(after(&asked, &[("retry-after", "5")], 2), 5000);
    }
}

//! The settings of QStash: its address, our token, and the terms of its calls.

use std::ops::RangeInclusive;
use std::time::Duration;

use url::Url;

use crate::engine::model::cron::{BadCron, Cron};
use crate::engine::model::delivery::Calls;
use crate::engine::model::project::is_local;
use crate::engine::model::secret::SecretText;

use super::errors::{Problem, Problems};
use super::limits::number;
use super::switch;
use super::variables::{
    CRON, DEPLOYMENT, Environment, HOURLY, HOURLY_CRON, NOTIFY_URL, QSTASH_TOKEN, QSTASH_URL,
    RETRIES, RETRY_DELAY, SCHEDULE_TIMEOUT, TIME_ZONE,
};

/// The settings of QStash.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// QStash's API; none: nothing can be scheduled and nothing continued.
    pub qstash: Option<QStashSettings>,
    /// The schedule of pipelines that have none of their own.
    pub cron: Cron,
    /// The second schedule of every pipeline, if there is one.
    pub hourly: Option<Cron>,
    /// The terms of a call: retries, timeout, deployment.
    pub calls: Calls,
    /// The webhook through which people are told what went wrong.
    pub notify_url: Option<SecretText>,
}

/// QStash's API.
#[derive(Debug, Clone)]
pub struct QStashSettings {
    /// Its base URL, without a slash at its end.
    pub url: String,
    /// The token of our account.
    pub token: SecretText,
}

/// Four times a day.
const DEFAULT_CRON: &str = "0 */6 * * *";

/// Every full hour.
const DEFAULT_HOURLY_CRON: &str = "0 * * * *";

/// The zone that QStash itself counts in.
const DEFAULT_ZONE: &str = "UTC";

/// A third retry would come 33 minutes after the first attempt, and a fourth after the next tick.
const DEFAULT_RETRIES: u32 = 2;

/// Longer than the function's own timeout, or QStash would try again while it still works.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The paid plans allow no more.
const RETRY_COUNT: RangeInclusive<u64> = 0..=20;

/// The paid plans wait for an answer for two hours.
const TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=7_200;

/// A schedule's id has room for this and the pipeline's name.
const LONGEST_DEPLOYMENT: usize = 63;

const DEFAULT_URL: &str = "https://qstash.upstash.io";

/// The paths that people paste together with the base URL.
const API_PATHS: [&str; 3] = ["/v2/publish", "/v2/schedules", "/v2"];

pub(super) fn read(env: Environment<'_>, local: bool, problems: &mut Problems) -> QueueSettings {
    QueueSettings {
        qstash: qstash(env, local, problems),
        cron: default_cron(env, problems),
        hourly: hourly(env, problems),
        calls: calls(env, problems),
        notify_url: notify_url(env, local, problems),
    }
}

fn qstash(env: Environment<'_>, local: bool, problems: &mut Problems) -> Option<QStashSettings> {
    let url = env.get(QSTASH_URL).unwrap_or_else(|| DEFAULT_URL.to_owned());
    let url = base_url(&url, local).map_err(|problem| problems.of(QSTASH_URL, problem)).ok();
    let token = env.get(QSTASH_TOKEN)?;
    if !token.chars().all(|c| c.is_ascii_graphic()) {
        problems.of(QSTASH_TOKEN, Problem::UnprintableToken);
        return None;
    }
    Some(QStashSettings { url: url?, token: SecretText::new(token) })
}

fn base_url(text: &str, local: bool) -> Result<String, Problem> {
    let url = Url::parse(text).map_err(|_| Problem::QStashUrl)?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !is_plain || url.password().is_some() {
        return Err(Problem::QStashUrl);
    }
    refuse_clear_text(&url, local)?;
    let mut base = url.as_str().trim_end_matches('/');
    for end in API_PATHS {
        base = base.strip_suffix(end).unwrap_or(base);
    }
    Ok(base.to_owned())
}

/// Refuses URLs that send a token or a secret unencrypted, except to this machine.
pub(super) fn refuse_clear_text(url: &Url, local: bool) -> Result<(), Problem> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if local || is_local(url) => Ok(()),
        "http" => Err(Problem::ClearText),
        _ => Err(Problem::QStashUrl),
    }
}

fn calls(env: Environment<'_>, problems: &mut Problems) -> Calls {
    let retries = number(env, RETRIES, RETRY_COUNT, problems);
    let timeout = number(env, SCHEDULE_TIMEOUT, TIMEOUT_SECONDS, problems);
    Calls {
        retries: retries.and_then(|count| count.try_into().ok()).unwrap_or(DEFAULT_RETRIES),
        retry_delay: retry_delay(env, problems),
        timeout: timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs),
        deployment: deployment(env, problems),
    }
}

fn default_cron(env: Environment<'_>, problems: &mut Problems) -> Cron {
    let zone = env.get(TIME_ZONE).unwrap_or_else(|| DEFAULT_ZONE.to_owned());
    let expression = env.get(CRON).unwrap_or_else(|| DEFAULT_CRON.to_owned());
    Cron::parse(&expression, &zone).unwrap_or_else(|bad| {
        let variable = if bad == BadCron::Zone { TIME_ZONE } else { CRON };
        problems.of(variable, bad);
        Cron::parse(DEFAULT_CRON, DEFAULT_ZONE).expect("the default is a cron expression")
    })
}

/// Reads the hourly schedule. A bad zone is reported already, by the first schedule.
fn hourly(env: Environment<'_>, problems: &mut Problems) -> Option<Cron> {
    let is_on = switch::read(env, HOURLY, problems).unwrap_or(false);
    let zone = env.get(TIME_ZONE).unwrap_or_else(|| DEFAULT_ZONE.to_owned());
    let expression = env.get(HOURLY_CRON).unwrap_or_else(|| DEFAULT_HOURLY_CRON.to_owned());
    let cron = match Cron::parse(&expression, &zone) {
        Ok(cron) => Some(cron),
        Err(BadCron::Zone) => None,
        Err(bad) => {
            problems.of(HOURLY_CRON, bad);
            None
        }
    };
    cron.filter(|_| is_on)
}

/// Reads the expression, which QStash evaluates. Only the characters are checked: others could
/// break the header that carries it.
fn retry_delay(env: Environment<'_>, problems: &mut Problems) -> Option<String> {
    let text = env.get(RETRY_DELAY)?;
    let is_known = |c: char| c.is_ascii_alphanumeric() || "+-*/().,_ ".contains(c);
    if text.chars().all(is_known) {
        return Some(text);
    }
    problems.of(RETRY_DELAY, Problem::RetryDelay);
    None
}

fn deployment(env: Environment<'_>, problems: &mut Problems) -> Option<String> {
    let name = env.get(DEPLOYMENT)?;
    let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() <= LONGEST_DEPLOYMENT && name.chars().all(is_known) {
        return Some(name);
    }
    problems.of(DEPLOYMENT, Problem::DeploymentName);
    None
}

fn notify_url(env: Environment<'_>, local: bool, problems: &mut Problems) -> Option<SecretText> {
    let text = env.get(NOTIFY_URL)?;
    let url = Url::parse(&text).map_err(|_| Problem::NotifyUrl);
    match url.and_then(|url| refuse_clear_text(&url, local)) {
        Ok(()) => Some(SecretText::new(text)),
        Err(Problem::QStashUrl) => {
            problems.of(NOTIFY_URL, Problem::NotifyUrl);
            None
        }
        Err(problem) => {
            problems.of(NOTIFY_URL, problem);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(env: &[(&str, &str)]) -> Result<QueueSettings, String> {
        let lookup = |asked: &str| {
            env.iter().find(|(name, _)| *name == asked).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems::default();
        let queue = read(Environment(&lookup), false, &mut problems);
        problems.or(queue).map_err(|errors| errors.to_string())
    }

    #[test]
    fn everything_has_a_default_but_the_token() {
        let QueueSettings { qstash, cron, hourly, calls, notify_url } = queue(&[]).unwrap();
        assert!(hourly.is_none());

        assert!(qstash.is_none() && notify_url.is_none());
        assert_eq!(cron.to_string(), "0 */6 * * *");
        assert_eq!((calls.retries, calls.timeout), (2, Duration::from_secs(30)));
        assert_eq!((calls.retry_delay, calls.deployment), (None, None));
        let qstash = queue(&[("QSTASH_TOKEN", "token")]).unwrap().qstash.unwrap();
        assert_eq!(qstash.url, "https://qstash.upstash.io");
    }

    #[test]
    fn everything_can_be_set() {
        let queue = queue(&[
            ("QSTASH_URL", "https://qstash-us-east-1.upstash.io/"),
            ("QSTASH_TOKEN", "token\n"),
            ("SYNC_CRON", "30 9 * * MON-FRI"),
            ("SYNC_TIME_ZONE", "Europe/Berlin"),
            ("SYNC_RETRIES", "0"),
            ("SYNC_RETRY_DELAY", "pow(2, retried) * 1000"),
            ("SYNC_TIMEOUT_SECONDS", "120"),
            ("SYNC_DEPLOYMENT", "staging-2"),
            ("SYNC_NOTIFY_URL", "https://hooks.example.com/services/secret"),
        ])
        .unwrap();

        let qstash = queue.qstash.unwrap();
        assert_eq!(qstash.url, "https://qstash-us-east-1.upstash.io");
        assert_eq!(qstash.token.expose(), "token");
        assert_eq!(queue.cron.to_string(), "CRON_TZ=Europe/Berlin 30 9 * * MON-FRI");
        assert_eq!((queue.calls.retries, queue.calls.timeout), (0, Duration::from_secs(120)));
        assert_eq!(queue.calls.retry_delay.as_deref(), Some("pow(2, retried) * 1000"));
        assert_eq!(queue.calls.deployment.as_deref(), Some("staging-2"));
        assert!(queue.notify_url.unwrap().expose().ends_with("secret"));
    }

    #[test]
    fn a_url_with_what_belongs_behind_it_is_repaired() {
        for url in ["https://q.example.com/v2/publish/", "https://q.example.com/v2"] {
            let qstash = queue(&[("QSTASH_URL", url), ("QSTASH_TOKEN", "t")]).unwrap().qstash;
            assert_eq!(qstash.unwrap().url, "https://q.example.com", "{url}");
        }
    }

    #[test]
    fn secrets_do_not_travel_in_clear_but_on_this_machine() {
        for here in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"] {
            assert!(queue(&[("QSTASH_URL", here), ("SYNC_NOTIFY_URL", here)]).is_ok(), "{here}");
        }
        for name in ["QSTASH_URL", "SYNC_NOTIFY_URL"] {
            let message = queue(&[(name, "http://hunter2.example.com")]).unwrap_err();
            assert!(message.contains(&format!("{name}: It must begin with https://")), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn the_hourly_schedule_is_off_until_it_is_turned_on() {
        let on = ("ENABLE_HOURLY_SYNC", "true");
        let hourly = |env: &[(&str, &str)]| {
            queue(env).map(|settings| settings.hourly.map(|cron| cron.to_string()))
        };
        assert_eq!(hourly(&[on]).unwrap().as_deref(), Some("0 * * * *"));
        let half = ("SYNC_HOURLY_CRON", "30 * * * *");
        assert_eq!(hourly(&[half]).unwrap(), None);
        let tokyo = ("SYNC_TIME_ZONE", "Asia/Tokyo");
        let both = hourly(&[on, half, tokyo]).unwrap();
        assert_eq!(both.as_deref(), Some("CRON_TZ=Asia/Tokyo 30 * * * *"));
        assert!(hourly(&[("SYNC_HOURLY_CRON", "often")]).unwrap_err().contains("SYNC_HOURLY_CRON"));
    }

    #[test]
    fn what_qstash_would_refuse_is_refused_by_name() {
        for (name, value) in [
            ("QSTASH_URL", "qstash.upstash.io"),
            ("QSTASH_URL", "https://user:hunter2@qstash.upstash.io"),
            ("QSTASH_URL", "ftp://qstash.upstash.io"),
            ("QSTASH_TOKEN", "hunter2 hunter2"),
            ("SYNC_CRON", "0 */6 * *"),
            ("SYNC_CRON", "0 0 30 2 *"),
            ("SYNC_TIME_ZONE", "Berlin"),
            ("SYNC_RETRIES", "21"),
            ("SYNC_RETRY_DELAY", "1000\r\nX: y"),
            ("SYNC_TIMEOUT_SECONDS", "30s"),
            ("SYNC_DEPLOYMENT", "Prod!"),
            ("SYNC_NOTIFY_URL", "hooks.example.com"),
        ] {
            let message = queue(&[(name, value)]).unwrap_err();
            assert!(message.contains(&format!("\n  {name}: ")), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}

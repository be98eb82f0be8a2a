//! Runs of the real program, each with a fate: killed, cut off at a byte, doubled, or left alone.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::world::cluster;
use crate::world::dice::Dice;
use crate::world::pair::Pair;
use crate::world::proxy::{Act, Proxy, Way};

/// The fate of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Nothing.
    Fine,
    /// It is killed.
    Killed,
    /// Its source's answers end at some byte.
    SourceCut,
    /// The stream of bytes to the target ends at some byte.
    TargetCut,
    /// The target's answers end at some byte, a commit's answer among them.
    AnswerCut,
    /// Another run begins while it is at work.
    Rivalled,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Fine,
        Self::Killed,
        Self::SourceCut,
        Self::TargetCut,
        Self::AnswerCut,
        Self::Rivalled,
    ];
}

const DONE: i32 = 0;
const FAILED: i32 = 1;
const MORE_TO_DO: i32 = 3;
const ROWS_REJECTED: i32 = 4;
const BUSY: i32 = 75;

/// Longer than most runs; a kill that comes later than the run's end meets nothing.
const LATEST_KILL_MS: u64 = 600;

/// The proxies between the runs and the databases, and the fates that are dealt.
pub struct Faults {
    source: Proxy,
    target: Proxy,
    source_url: String,
    target_url: String,
    dice: Dice,
    deck: Vec<Fate>,
    /// The bytes of the last run that nothing befell: from the source, to the target, and from it.
    usual: [u64; 3],
    counts: BTreeMap<Fate, u64>,
}

impl Faults {
    /// Proxies before both databases.
    pub async fn before(pair: &Pair, dice: Dice) -> Self {
        let port = cluster().port();
        let (source, target) = (Proxy::before(port).await, Proxy::before(port).await);
        let source_url = source.url(&pair.source.url, port);
        let target_url = target.url(&pair.target.url, port);
        let (deck, counts) = (Vec::new(), BTreeMap::new());
        Self { source, target, source_url, target_url, dice, deck, usual: [0; 3], counts }
    }

    /// The number of runs by their fate; a kill or a cut that came too late does not count.
    pub fn counts(&self) -> &BTreeMap<Fate, u64> {
        &self.counts
    }

    /// One run. It ends as its fate lets it expect, and with nothing else.
    pub async fn run(&mut self, pair: &Pair) {
        let fate = self.fate();
        let [from_source, to_target, from_target] =
            self.usual.map(|bytes| self.dice.roll(bytes.max(1)));
        let met = match fate {
            Fate::Fine => {
                let before = self.carried();
                expect(&ended(self.begin(pair)).await, &[DONE, MORE_TO_DO, ROWS_REJECTED]);
                let after = self.carried();
                self.usual = [0, 1, 2].map(|way| after[way] - before[way]);
                true
            }
            Fate::Killed => self.kill(pair).await,
            Fate::SourceCut => self.cut(pair, &self.source, Way::ToClient, from_source).await,
            Fate::TargetCut => self.cut(pair, &self.target, Way::ToServer, to_target).await,
            Fate::AnswerCut => self.cut(pair, &self.target, Way::ToClient, from_target).await,
            Fate::Rivalled => {
                let both = tokio::join!(ended(self.begin(pair)), ended(self.begin(pair)));
                for one in [&both.0, &both.1] {
                    expect(one, &[DONE, MORE_TO_DO, ROWS_REJECTED, BUSY]);
                }
                true
            }
        };
        *self.counts.entry(fate).or_insert(0) += u64::from(met);
    }

    /// Each fate comes up once in a round, in the order that the dice decide; one that nothing
    /// befalls comes first, since it tells where others can be cut.
    fn fate(&mut self) -> Fate {
        if self.deck.is_empty() {
            self.deck = Fate::ALL[1..].to_vec();
            for at in (1..self.deck.len()).rev() {
                self.deck.swap(at, self.dice.roll(at as u64 + 1) as usize);
            }
            self.deck.push(Fate::Fine);
        }
        self.deck.pop().expect("the deck was filled")
    }

    fn carried(&self) -> [u64; 3] {
        [
            self.source.carried(Way::ToClient),
            self.target.carried(Way::ToServer),
            self.target.carried(Way::ToClient),
        ]
    }

    /// A run with nothing in its way, and time, that goes on until it has caught up.
    pub async fn last_run(&self, pair: &Pair) {
        let mut run = command(pair, &[]);
        let run = run.env("SYNC_BUDGET_SECONDS", "600").spawn().expect("syncline starts");
        expect(&ended(run).await, &[DONE]);
    }

    /// One slice, through the proxies.
    fn begin(&self, pair: &Pair) -> Child {
        let mut command = command(pair, &["--once"]);
        command.env("SOURCE_DATABASE_URL", &self.source_url);
        command.env("TARGET_DATABASE_URL", &self.target_url);
        command.spawn().expect("syncline starts")
    }

    async fn kill(&mut self, pair: &Pair) -> bool {
        let after = Duration::from_millis(self.dice.roll(LATEST_KILL_MS));
        let mut run = self.begin(pair);
        let met = tokio::time::timeout(after, run.wait()).await.is_err();
        if met {
            run.kill().await.expect("it can be killed");
            lease_ends(pair).await;
        }
        met
    }

    /// A run with a cut in its way; whether it got that far.
    async fn cut(&self, pair: &Pair, proxy: &Proxy, way: Way, at: u64) -> bool {
        proxy.after(way, at, Act::Cut);
        let ended = ended(self.begin(pair)).await;
        let met = !proxy.is_waiting();
        if met {
            expect(&ended, &[DONE, MORE_TO_DO, ROWS_REJECTED, FAILED]);
            lease_ends(pair).await;
        } else {
            proxy.forget_plan();
            expect(&ended, &[DONE, MORE_TO_DO, ROWS_REJECTED]);
        }
        met
    }
}

/// The deletes are meant, however many of them a run that was killed left to the next.
fn command(pair: &Pair, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.args(["run", "--deletes", "--yes"]).args(arguments).env_clear().envs(pair.settings());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn ended(run: Child) -> Output {
    run.wait_with_output().await.expect("it ends")
}

fn expect(ended: &Output, allowed: &[i32]) {
    let code = ended.status.code();
    assert!(code.is_some_and(|code| allowed.contains(&code)), "not in {allowed:?}: {ended:?}");
}

/// Ends the lease of a run that could not give it back, once its transaction has let go of it.
/// Waiting for the lease would take most of the time there is.
async fn lease_ends(pair: &Pair) {
    let over = "update sync_state set value = value || jsonb_build_object(\
        'expires_at', clock_timestamp()) where key like 'lease:%'";
    let there = "select (to_regclass('public.sync_state') is not null)::text";
    if pair.text_target(there).await == "true" {
        pair.sql_target(over).await;
    }
}

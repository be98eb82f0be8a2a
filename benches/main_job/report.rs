//! Measurements and demands, as a table.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::world::World;

/// The most memory that any run may have: what the smallest function has, less its runtime.
const MOST_MEMORY_MIB: f64 = 48.0;

/// The times of a thing that was repeated.
#[derive(Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    pub fn add(&mut self, took: Duration) {
        self.0.push(took);
        self.0.sort();
    }

    pub fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }
}

/// The median, and in brackets the least and the most.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (self.0[0], self.0[self.0.len() - 1]);
        write!(f, "{} ({} to {})", time(self.median()), time(least), time(most))
    }
}

fn time(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}

/// One measurement.
struct Line {
    title: String,
    product: String,
    floor: String,
    figure: String,
    demand: String,
    met: bool,
}

/// All measurements of a run.
pub struct Report {
    server: String,
    lines: Vec<Line>,
}

impl Report {
    pub fn new(world: &World) -> Self {
        let server = world.source.text("postgres", "select current_setting('server_version')");
        Self { server, lines: Vec::new() }
    }

    /// Says whether a demand was missed.
    pub fn misses(&self) -> bool {
        self.lines.iter().any(|line| !line.met)
    }

    /// Times of product and floor by turns. The ratio is the median of the turns' ratios: whatever
    /// else the machine does hits both halves of a turn.
    pub fn against_floor(&mut self, title: &str, turns: &[(Duration, Duration)], most: f64) {
        let demand = format!("at most {most} x");
        self.beside_floor(title, turns, demand, |ratio| ratio <= most);
    }

    /// A measurement of which nothing is demanded.
    pub fn told_beside_floor(&mut self, title: &str, turns: &[(Duration, Duration)]) {
        self.beside_floor(title, turns, String::new(), |_| true);
    }

    fn beside_floor(
        &mut self,
        title: &str,
        turns: &[(Duration, Duration)],
        demand: String,
        meets: impl Fn(f64) -> bool,
    ) {
        let (mut product, mut floor) = (Samples::default(), Samples::default());
        let mut ratios = Vec::new();
        for &(ours, least) in turns {
            product.add(ours);
            floor.add(least);
            ratios.push(ours.as_secs_f64() / least.as_secs_f64());
        }
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[ratios.len() / 2];
        self.add(Line {
            title: title.to_owned(),
            product: product.to_string(),
            floor: floor.to_string(),
            figure: format!("{ratio:.2} x"),
            demand,
            met: meets(ratio),
        });
    }

    /// Times with a limit of their own.
    pub fn within(&mut self, title: &str, samples: &Samples, limit: Duration) {
        self.plain(
            title,
            samples.to_string(),
            format!("under {}", time(limit)),
            samples.median() < limit,
        );
    }

    /// Rows written although nothing had changed.
    pub fn rows_written(&mut self, title: &str, rows: i64, took: Duration) {
        let product = format!("{rows} rows written in {}", time(took));
        self.plain(title, product, "no row written".to_owned(), rows == 0);
    }

    /// The target's log against that of the first load.
    pub fn share_of_wal(&mut self, title: &str, wal: i64, first: i64, most: f64) {
        let share = wal as f64 / first as f64;
        let mib = |bytes: i64| format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20));
        self.add(Line {
            title: format!("{title}: WAL"),
            product: mib(wal),
            floor: format!("{} at first", mib(first)),
            figure: format!("{:.2} %", share * 100.0),
            demand: format!("under {} %", most * 100.0),
            met: share < most,
        });
    }

    /// The memory of the hungriest run.
    pub fn memory(&mut self, title: &str, peak_kib: u64) {
        self.memory_of(title, peak_kib, MOST_MEMORY_MIB);
    }

    /// The memory of the hungriest run where it may have more.
    pub fn memory_of(&mut self, title: &str, peak_kib: u64, most_mib: f64) {
        let mib = peak_kib as f64 / 1024.0;
        self.plain(
            &format!("{title}: peak resident memory"),
            format!("{mib:.1} MiB"),
            format!("under {most_mib} MiB"),
            mib < most_mib,
        );
    }

    /// Round trips to source and target by number of tables.
    pub fn round_trips(&mut self, tables: &[usize], trips: &[(u64, u64)]) {
        let list = |items: Vec<String>| items.join(", ");
        self.plain(
            &format!(
                "Nothing changed: round trips to source + target with {} tables",
                list(tables.iter().map(usize::to_string).collect())
            ),
            list(trips.iter().map(|(source, target)| format!("{source} + {target}")).collect()),
            "the same for any number".to_owned(),
            trips.iter().all(|counted| *counted == trips[0]),
        );
    }

    /// A measurement without a floor.
    pub fn plain(&mut self, title: &str, product: String, demand: String, met: bool) {
        let title = title.to_owned();
        self.add(Line { title, product, floor: String::new(), figure: String::new(), demand, met });
    }

    fn add(&mut self, line: Line) {
        eprintln!("  {line}");
        self.lines.push(line);
    }

    /// Replaces the measurements in the documentation. The text above them stays.
    pub fn write(&self) {
        const START: &str = "Measured on Postgres ";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
        let page = std::fs::read_to_string(&path).expect("the page exists");
        let text = &page[..page.find(START).expect("the page says what it was measured on")];
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let page = format!("{text}{START}{}, {cores} cores.\n\n{self}", self.server);
        std::fs::write(&path, page).expect("the page is written");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | Syncline | floor | ratio | demand | |")?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- |")?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, product, floor, figure, demand, met } = self;
        let met = match met {
            _ if demand.is_empty() => "",
            true => "met",
            false => "**missed**",
        };
        write!(f, "| {title} | {product} | {floor} | {figure} | {demand} | {met} |")
    }
}

//! Times, medians, memory, and a table to read them in.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// What work took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// By the clock on the wall.
    pub wall: Duration,
    /// Of the processors, all threads together; hundredths of a second. Zero where the system does not tell.
    pub processor: Duration,
}

/// Waits for work to end and says what it took.
pub async fn timed<T>(work: impl Future<Output = T>) -> (T, Spent) {
    let before = processor_time();
    #[allow(clippy::disallowed_methods, reason = "a bench measures the time that really passes")]
    let began = Instant::now();
    let done = work.await;
    (done, Spent { wall: began.elapsed(), processor: processor_time().saturating_sub(before) })
}

/// What this process and the children it has waited for have used so far, in user and system mode.
fn processor_time() -> Duration {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which ends with the last parenthesis: fields 3 and on; 14 to 17 are the times, in ticks.
    let fields = status.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The middle of several, for wall and processor each; of an even number, the upper one of the two.
pub fn median(all: &[Spent]) -> Spent {
    let middle = |of: fn(&Spent) -> Duration| {
        let mut sorted: Vec<Duration> = all.iter().map(of).collect();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    };
    Spent { wall: middle(|spent| spent.wall), processor: middle(|spent| spent.processor) }
}

impl Spent {
    /// Both, one after the other.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { wall: self.wall + other.wall, processor: self.processor + other.processor }
    }

    /// How many times as much as another: wall, processor.
    pub fn ratio(self, other: Self) -> String {
        let times = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64().max(0.001);
        let (wall, processor) = (times(self.wall, other.wall), times(self.processor, other.processor));
        format!("{wall:.2}x by the wall clock, {processor:.2}x in processor time")
    }

    /// Cells of a table: wall, processor, and how many of `count` things in a second of the wall clock.
    pub fn cells(self, what: String, count: usize) -> [String; 4] {
        let rate = count as f64 / self.wall.as_secs_f64().max(0.001);
        [what, seconds(self.wall), format!("{:.2} s", self.processor.as_secs_f64()), format!("{rate:.0}")]
    }
}

/// `1.234 s`.
pub fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// The most memory this process has had in use so far, in KiB; `None` where the system does not tell.
pub fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").trim().parse().ok()
}

/// A table in Markdown, so that it can be pasted into a page as it is.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::from("|");
            for (cell, width) in row.iter().zip(&widths) {
                write!(line, " {cell:<width$} |")?;
            }
            writeln!(f, "{line}")?;
            if number == 0 {
                let rule: String = widths.iter().map(|width| format!("{}|", "-".repeat(width + 2))).collect();
                writeln!(f, "|{rule}")?;
            }
        }
        Ok(())
    }
}

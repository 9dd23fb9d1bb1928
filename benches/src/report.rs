//! Results that a script can read: one line of JSON each, which `benches/refresh` puts into `docs/performance.md`.

use serde_json::json;

/// One measured figure: a row of the table in `docs/performance.md`.
///
/// ```
/// use provision_benches::report::Figure;
///
/// Figure::new("feed", "feed of 1,000 rows", 0.2, "s").peer("`csv` read", 0.1).goal("2x").print();
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured, with its size: the first cell of the row. A later figure of this name replaces the row.
    pub name: String,
    /// Our value.
    pub ours: f64,
    /// The competitor: what it does, or its command.
    pub against: Option<String>,
    /// The competitor's value of the same run.
    pub peer: Option<f64>,
    /// Ours by the peer's; or another number that is held against the goal.
    pub ratio: Option<f64>,
    /// The same in processor time.
    pub processor: Option<f64>,
    /// The unit of `ours` and `peer`: `s`, `MiB`, `requests`.
    pub unit: String,
    /// What the issue asks for: `2x`, `under 300 MiB`.
    pub goal: Option<String>,
    /// How to get the figure again.
    pub command: String,
}

impl Figure {
    /// Our value of something, measured by a bench.
    pub fn new(bench: &str, name: impl Into<String>, ours: f64, unit: &str) -> Self {
        Self {
            name: name.into(),
            ours,
            against: None,
            peer: None,
            ratio: None,
            processor: None,
            unit: unit.to_owned(),
            goal: None,
            command: format!("cargo bench -p provision-benches --bench {bench}"),
        }
    }

    /// The competitor and its value; gives the ratio, too.
    #[must_use]
    pub fn peer(mut self, against: impl Into<String>, value: f64) -> Self {
        self.against = Some(against.into());
        self.peer = Some(value);
        self.ratio = (value > 0.0).then(|| self.ours / value);
        self
    }

    /// The ratio in processor time.
    #[must_use]
    pub fn processor(mut self, ratio: f64) -> Self {
        self.processor = Some(ratio);
        self
    }

    /// What is to be reached.
    #[must_use]
    pub fn goal(mut self, goal: impl Into<String>) -> Self {
        self.goal = Some(goal.into());
        self
    }

    /// The line: `figure: ` and JSON.
    pub fn line(&self) -> String {
        let json = json!({
            "name": self.name,
            "ours": self.ours,
            "against": self.against,
            "peer": self.peer,
            "ratio": self.ratio,
            "processor": self.processor,
            "unit": self.unit,
            "goal": self.goal,
            "command": self.command,
        });
        format!("figure: {json}")
    }

    /// Prints the line.
    pub fn print(&self) {
        println!("{}", self.line());
    }
}

#[cfg(test)]
mod tests {
    use super::Figure;

    #[test]
    fn a_line_is_json_after_its_prefix() {
        let figure = Figure::new("feed", "a \"quoted\" name", 3.0, "s").peer("peer", 1.5).goal("2x");
        let json: serde_json::Value =
            serde_json::from_str(figure.line().strip_prefix("figure: ").unwrap()).unwrap();
        assert_eq!((json["name"].as_str(), json["ratio"].as_f64()), (Some("a \"quoted\" name"), Some(2.0)));
        assert_eq!(json["command"], "cargo bench -p provision-benches --bench feed");
    }
}

//! What a person sees: colour on a terminal, plain text everywhere else.

use std::io::{IsTerminal, Write};

/// Where text for people goes.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    colour: bool,
}

impl Screen {
    /// Standard output: coloured if it is a terminal and `NO_COLOR` is not set (or empty).
    pub fn stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: std::io::stdout().is_terminal() && !refused }
    }

    /// Without colour.
    pub fn plain() -> Self {
        Self { colour: false }
    }

    /// A headline.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Of less interest.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Good.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Look at this.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Bad, or destructive.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A rendered step or skip: its first word by what it does, the reasons dim.
    pub fn step(self, rendered: &str) -> String {
        let mut out = String::new();
        for (number, line) in rendered.lines().enumerate() {
            let painted = match (number, line.split_once(' '), line.split_once("    <- ")) {
                (0, Some((word, rest)), _) => {
                    let word = match word {
                        "create" | "enable" | "add_member" => self.green(word),
                        "delete" | "disable" | "remove_member" => self.red(word),
                        _ => self.yellow(word),
                    };
                    format!("{word} {rest}")
                }
                (_, _, Some((value, why))) => format!("{value}    {}", self.dim(&format!("<- {why}"))),
                _ => line.to_owned(),
            };
            out.push_str(&painted);
            out.push('\n');
        }
        out
    }
}

/// Prints to standard output. A reader who has gone away (`| head`) is no error.
pub fn say(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.as_ref());
}

/// Prints to standard error.
pub fn warn(text: impl AsRef<str>) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "{}", text.as_ref());
}

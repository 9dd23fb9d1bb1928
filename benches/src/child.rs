//! Work in a process of its own: what it took, and the most memory it had in use.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Outcome, Spent, peak_memory_kib};

/// What a child process told.
#[derive(Clone, Debug)]
pub struct Told(Value);

impl Told {
    /// What was measured under a name, or without one: `wall` and `processor`.
    ///
    /// # Errors
    /// When the child did not tell it.
    pub fn spent(&self, name: &str) -> Outcome<Spent> {
        let time = |key| self.number(name, key).map(Duration::from_secs_f64);
        Ok(Spent { wall: time("wall")?, processor: time("processor")? })
    }

    /// A number it told under a name, or without one.
    ///
    /// # Errors
    /// When the child did not tell it.
    pub fn number(&self, name: &str, key: &str) -> Outcome<f64> {
        let value =
            if name.is_empty() { self.0.get(key) } else { self.0.get(name).and_then(|of| of.get(key)) };
        value
            .and_then(Value::as_f64)
            .ok_or_else(|| format!("the child did not tell {name} {key}: {}", self.0).into())
    }

    /// Its peak, in MiB.
    ///
    /// # Errors
    /// When the child did not tell it.
    pub fn peak_mib(&self) -> Outcome<f64> {
        Ok(self.number("", "peak_kib")? / 1_024.0)
    }
}

/// Runs this program again with other arguments.
///
/// # Errors
/// What the child fails with.
pub fn again(arguments: &[&str], folder: &Path) -> Outcome<Told> {
    let mut command = Command::new(std::env::current_exe()?);
    told(command.args(arguments).arg(folder))
}

/// Runs a script in Python with arguments.
///
/// # Errors
/// What the script fails with: it names what is missing.
pub fn python(script: &str, arguments: &[&Path]) -> Outcome<Told> {
    told(Command::new("python3").arg("-c").arg(script).args(arguments))
}

fn told(command: &mut Command) -> Outcome<Told> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(Told(serde_json::from_str(text.trim())?))
}

/// For the child: prints what was measured, under names, and the peak of the process so far.
///
/// # Errors
/// When the system does not tell the peak.
pub fn tell(measured: &[(&str, Spent)]) -> Outcome<()> {
    let peak = peak_memory_kib().ok_or("this system does not tell the peak of a process")?;
    let mut line = serde_json::Map::from_iter([("peak_kib".to_owned(), json!(peak))]);
    for (name, spent) in measured {
        let times = json!({ "wall": spent.wall.as_secs_f64(), "processor": spent.processor.as_secs_f64() });
        line.insert((*name).to_owned(), times);
    }
    println!("{}", Value::Object(line));
    Ok(())
}

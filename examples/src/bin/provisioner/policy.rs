//! Commands for those who write policy: check, test, impact, eval, schema. Without a store where none is needed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use provision_core::diagnostic::Diagnostic;
use provision_core::engine::ImpactOptions;
use provision_core::policy::{Policy, PolicyInput};
use provision_core::text::escape;
use provision_examples::screen::Screen;
use provision_policy::testing::{Given, TestFile, person, run};
use provision_policy::{Bundle, Edit, Evaluated, json_schema};
use serde_json::json;

use crate::answer::{Answer, Exit, Failure};
use crate::arguments::{Arguments, EvalArguments, ImpactArguments, TestArguments};
use crate::config::Config;
use crate::host::Store;
use crate::secrets::Secrets;

/// Reads a bundle and says all that is wrong with it, and what probably is.
pub(crate) fn check(path: &Path, screen: Screen) -> Result<Answer, Failure> {
    let (problems, version) = match Bundle::load_path(path) {
        Ok(bundle) => (bundle.warnings().to_vec(), Some(bundle.version())),
        Err(problems) => (problems, None),
    };
    let mut text: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = problems.len() - errors;
    let exit = match &version {
        Some(version) => {
            let hash: String = version.hash.chars().take(12).collect();
            text.push_str(&format!("{} policy {} ({hash})", screen.green("ok"), escape(&version.label)));
            text.push_str(&if warnings > 0 { format!(", {warnings} warnings\n") } else { "\n".to_owned() });
            Exit::Clean
        }
        None => {
            text.push_str(&format!("{} {errors} errors, {warnings} warnings\n", screen.red("no")));
            Exit::BadConfiguration
        }
    };
    Answer::new(text, json!({ "policy": version, "problems": problems }), exit)
}

/// Where the bundle is: named, or by the configuration.
fn bundle_path(arguments: &Arguments, named: Option<&Path>) -> Result<PathBuf, Failure> {
    match named {
        Some(path) => Ok(path.to_owned()),
        None => Ok(Config::load(&arguments.config)?.bundle),
    }
}

fn load(path: &Path) -> Result<Bundle, Failure> {
    Bundle::load_path(path).map_err(|problems| Failure::problems(&problems))
}

/// Runs policy tests.
pub(crate) fn test(arguments: &Arguments, options: &TestArguments) -> Result<Answer, Failure> {
    let path = bundle_path(arguments, options.bundle.as_deref())?;
    let bundle = load(&path)?;
    let places = if options.files.is_empty() { vec![path] } else { options.files.clone() };
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for place in places {
        match TestFile::load_path(&place) {
            Ok(found) => files.extend(found),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(Failure::problems(&problems));
    }
    let report = run(&bundle, &files);
    if let Some(file) = &options.junit {
        std::fs::write(file, report.junit()).map_err(|error| {
            Failure::new(Exit::Error, format!("error: cannot write {}: {error}", file.display()))
        })?;
    }
    let exit = if report.is_clean() { Exit::Clean } else { Exit::Unsuccessful };
    Answer::new(report.render(options.coverage), &report, exit)
}

/// Says what another bundle would do to everybody in the store.
pub(crate) async fn impact(
    arguments: &Arguments,
    options: &ImpactArguments,
    secrets: &Arc<Secrets>,
) -> Result<Answer, Failure> {
    let config = Config::load(&arguments.config)?;
    let from = load(&options.from)?;
    let to = load(options.to.as_deref().unwrap_or(&config.bundle))?;
    let edit = from.edit_to(&to);
    let store = Store::open(arguments, config, secrets).await?;
    let limit = if options.limit == 0 { usize::MAX } else { options.limit };
    let asked = ImpactOptions { as_of: options.as_of, limit, ..ImpactOptions::default() };
    let impact = store.engine.impact(&from, &to, &asked).await?;
    let exit = if impact.differing + impact.roles_differing == 0 { Exit::Clean } else { Exit::Pending };
    let text = format!("{}{}", parts(&edit), impact.render());
    Answer::new(
        text,
        json!({ "edit": edit.parts(), "everybody": edit.touches_everyone(), "impact": impact }),
        exit,
    )
}

/// What an edit consists of.
fn parts(edit: &Edit) -> String {
    let mut text = String::new();
    for part in edit.parts() {
        let through: Vec<String> = part.through.iter().map(ToString::to_string).collect();
        let through = if through.is_empty() { String::new() } else { format!("  <- {}", through.join(", ")) };
        text.push_str(&format!("{} {}{through}\n", part.change.as_str(), part.id));
    }
    text
}

/// Evaluates an expression for a person: of the store, or of a file.
pub(crate) async fn eval(
    arguments: &Arguments,
    options: &EvalArguments,
    secrets: &Arc<Secrets>,
) -> Result<Answer, Failure> {
    let bundle = load(&bundle_path(arguments, options.bundle.as_deref())?)?;
    let evaluated = match (&options.given, &options.person) {
        (Some(file), _) => {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::configuration(format!("error: cannot read {name}: {error}")))?;
            let given = person(&name, &text).map_err(|problems| Failure::problems(&problems))?;
            let now = options.as_of.unwrap_or(given.now);
            of_given(&bundle, &options.expression, &Given { now, ..given })?
        }
        (None, Some(person)) => {
            let store = Store::open(arguments, Config::load(&arguments.config)?, secrets).await?;
            let identity = store.engine.find(person).await?;
            let now = options.as_of.unwrap_or_else(|| store.runtime.clock().now());
            let (lifecycle, _) = identity.lifecycle(now)?;
            let input = PolicyInput { identity: &identity, lifecycle, now, grants: &[], proposed: false };
            bundle.eval(&options.expression, &input)
        }
        (None, None) => {
            return Err(Failure::configuration("error: for whom? Give --person KEY or --given FILE"));
        }
    };
    answer(evaluated)
}

fn of_given(
    bundle: &Bundle,
    expression: &str,
    given: &Given,
) -> Result<Result<Evaluated, Vec<Diagnostic>>, Failure> {
    let (lifecycle, _) = given.identity.lifecycle(given.now)?;
    let (identity, now, grants) = (&given.identity, given.now, given.grants.as_slice());
    Ok(bundle.eval(expression, &PolicyInput { identity, lifecycle, now, grants, proposed: given.proposed }))
}

fn answer(evaluated: Result<Evaluated, Vec<Diagnostic>>) -> Result<Answer, Failure> {
    let evaluated = evaluated.map_err(|problems| Failure::problems(&problems))?;
    let exit = if evaluated.failure.is_some() { Exit::Unsuccessful } else { Exit::Clean };
    Answer::new(evaluated.render(), &evaluated, exit)
}

/// The JSON Schema of a bundle's file.
pub(crate) fn schema() -> Result<Answer, Failure> {
    let schema = json_schema();
    let text = serde_json::to_string_pretty(&schema)
        .map_err(|error| Failure::new(Exit::Error, format!("the schema is no JSON: {error}")))?;
    Answer::new(text, schema, Exit::Clean)
}

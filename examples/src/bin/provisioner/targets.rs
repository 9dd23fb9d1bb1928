//! Commands about targets: check, onboard, reconcile, pause, resume.

use provision_core::connector::{Completeness, Discovery};
use provision_core::diagnostic::Diagnostic;
use provision_core::id::TargetName;
use provision_core::onboard::{OnboardingReport, Situation};
use provision_core::text::escape;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Exit, Failure};
use crate::disputes;
use crate::host::Host;

/// Reaches every target, then checks the policy against what the targets are.
pub(crate) async fn check(host: &Host) -> Result<Answer, Failure> {
    let (mut text, mut targets, mut exit) = (String::new(), Map::new(), Exit::Clean);
    for name in host.targets(None).await? {
        match host.engine.check(&name).await {
            Ok(discovery) => {
                text.push_str(&format!("{} {name}: {}\n", host.screen.green("ok"), classes(&discovery)));
                targets.insert(name.as_str().to_owned(), json!({ "ok": true, "discovery": discovery }));
            }
            Err(error) => {
                exit = Exit::Error;
                text.push_str(&format!("{} {name}: {}\n", host.screen.red("no"), error.report()));
                targets.insert(name.as_str().to_owned(), json!({ "ok": false, "error": error.record() }));
            }
        }
    }
    let mut problems = host.engine.check_policy().await?;
    problems.extend(host.engine.check_correlation().await?);
    for problem in &problems {
        text.push_str(&format!("{problem}\n"));
    }
    if problems.iter().any(Diagnostic::is_error) {
        exit = Exit::BadConfiguration;
    } else {
        let version = host.engine.policy()?.version();
        let hash: String = version.hash.chars().take(12).collect();
        let ok = host.screen.green("ok");
        text.push_str(&format!("{ok} policy {} ({hash})\n", escape(&version.label)));
    }
    Answer::new(text, json!({ "targets": targets, "problems": problems }), exit)
}

fn classes(discovery: &Discovery) -> String {
    let classes = discovery.schema.classes.iter();
    let classes = classes.map(|(name, class)| format!("{name} with {} attributes", class.attributes.len()));
    classes.collect::<Vec<_>>().join(", ")
}

/// Onboards the target named, or every target that is not onboarded.
pub(crate) async fn onboard(host: &Host, named: Option<&str>) -> Result<Answer, Failure> {
    let (mut text, mut reports, mut exit) = (String::new(), Vec::new(), Exit::Clean);
    for name in host.targets(named).await? {
        if named.is_none() && host.engine.is_onboarded(&name).await? {
            text.push_str(&format!("{name}: onboarded already\n"));
            continue;
        }
        let report = host.engine.onboard(&host.actor, &name).await?;
        if !report.completeness.is_complete() {
            exit = Exit::Error;
        }
        text.push_str(&shown(host, &report).await?);
        reports.push(report);
    }
    Answer::new(text, json!({ "reports": reports }), exit)
}

async fn shown(host: &Host, report: &OnboardingReport) -> Result<String, Failure> {
    let counts = [
        (Situation::Linked, "linked"),
        (Situation::Known, "known"),
        (Situation::Disputed, "disputed"),
        (Situation::Unmatched, "unmatched"),
        (Situation::Protected, "protected"),
    ]
    .map(|(situation, word)| format!("{} {word}", report.count(situation)));
    let mut text = format!("{}: {}\n", report.target, counts.join(", "));
    if let Completeness::Partial { reason } = &report.completeness {
        text.push_str(&format!("  not whole, so it does not count: {}\n", escape(reason)));
    }
    for row in &report.rows {
        let object = escape(row.name.as_deref().unwrap_or(&row.object));
        match row.situation {
            Situation::Disputed => text.push_str(&format!("  disputed {object}: {}\n", escape(&row.detail))),
            // Looks like somebody, and it is proved or decided that it is not theirs.
            _ if !row.candidates.is_empty() => {
                text.push_str(&format!("  nobody's {object}: {}\n", escape(&row.detail)));
            }
            _ => {}
        }
        text.push_str(&disputes::candidates(host, &row.candidates).await?);
    }
    Ok(text)
}

/// Reads targets again.
pub(crate) async fn reconcile(host: &Host, named: Option<&str>) -> Result<Answer, Failure> {
    let (mut text, mut reports, mut exit) = (String::new(), Vec::new(), Exit::Clean);
    for name in host.targets(named).await? {
        let report = host.engine.reconcile(&host.actor, &name).await?;
        text.push_str(&format!(
            "{name}: {} objects, {} of ours, {} changed by others, {} gone\n",
            report.objects, report.linked, report.drifted, report.missing
        ));
        if let Completeness::Partial { reason } = &report.completeness {
            exit = Exit::Error;
            text.push_str(&format!("  not whole, so no absence counts: {}\n", escape(reason)));
        }
        reports.push(report);
    }
    Answer::new(text, json!({ "reports": reports }), exit)
}

/// Stops writing to a target.
pub(crate) async fn pause(host: &Host, target: &str) -> Result<Answer, Failure> {
    host.engine.pause(&host.actor, &TargetName::new(target)).await?;
    Answer::new(format!("{target}: paused"), state(target, true), Exit::Clean)
}

/// Writes to it again.
pub(crate) async fn resume(host: &Host, target: &str) -> Result<Answer, Failure> {
    host.engine.resume(&host.actor, &TargetName::new(target)).await?;
    Answer::new(format!("{target}: resumed"), state(target, false), Exit::Clean)
}

fn state(target: &str, paused: bool) -> Value {
    json!({ "target": target, "paused": paused })
}

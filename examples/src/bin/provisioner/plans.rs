//! Commands about plans: plan, preview, apply.

use std::time::Duration;

use provision_core::engine::{ApplyOptions, ApplyReport, PlanOptions};
use provision_core::id::PlanId;
use provision_core::model::HoldState;
use provision_core::plan::{
    PlanHeader, PlanState, Scope, Skip, Step, render_header, render_skip, render_step,
};
use provision_core::text::escape;
use provision_core::value::Timestamp;
use serde_json::json;

use crate::answer::{Answer, Exit, Failure};
use crate::arguments::PlanArguments;
use crate::host::Host;

/// Makes a plan and shows it.
pub(crate) async fn plan(host: &Host, arguments: &PlanArguments) -> Result<Answer, Failure> {
    let scope = match (&arguments.person, arguments.all) {
        (Some(person), _) => Scope::Identities(vec![host.engine.find(person).await?.id]),
        (None, true) => Scope::All,
        (None, false) => Scope::Changed,
    };
    let options = PlanOptions { as_of: arguments.as_of, ..PlanOptions::default() };
    let header = host.engine.plan(&host.actor, scope, options).await?;
    answer(host, &header, arguments.limit, arguments.why).await
}

/// What a plan would do for one person.
pub(crate) async fn preview(host: &Host, person: &str, as_of: Option<Timestamp>) -> Result<Answer, Failure> {
    let identity = host.engine.find(person).await?;
    let options = PlanOptions { as_of, preview: true, ..PlanOptions::default() };
    let header = host.engine.plan(&host.actor, Scope::Identities(vec![identity.id]), options).await?;
    answer(host, &header, 0, true).await
}

/// A plan as an answer: its header, then steps and what is left alone. Read chunk by chunk; JSON has all steps.
async fn answer(host: &Host, header: &PlanHeader, limit: usize, why: bool) -> Result<Answer, Failure> {
    let mut text = render_header(header);
    let (mut steps, mut skips): (Vec<Step>, Vec<Skip>) = (Vec::new(), Vec::new());
    for number in 0..header.chunks {
        if let Some(chunk) = host.engine.plan_steps(header.id, number).await? {
            steps.extend(chunk.steps);
            skips.extend(chunk.skips);
        }
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    for step in steps.iter().take(limit) {
        let target = host.engine.target(&step.target).await?.value;
        let class = target.discovery.as_ref().and_then(|found| found.schema.classes.get(&step.class));
        text.push_str(&host.screen.step(&render_step(step, class, why)));
    }
    if steps.len() > limit {
        text.push_str(&format!("and {} more steps (--limit 0 shows all)\n", steps.len() - limit));
    }
    for skip in skips.iter().take(limit) {
        text.push_str(&host.screen.step(&render_skip(skip)));
    }
    if skips.len() > limit {
        text.push_str(&format!("and {} more left alone\n", skips.len() - limit));
    }
    let exit = match header.state {
        PlanState::Held => Exit::Held,
        _ if header.is_empty() => Exit::Clean,
        _ => Exit::Pending,
    };
    text.push_str(&match (header.state, &header.hold) {
        (PlanState::Held, Some(hold)) => format!(
            "{}: somebody else than {} reads it, then: approve {hold} --digest {}\n",
            host.screen.yellow("HELD"),
            escape(&header.author.name),
            header.digest
        ),
        (PlanState::Preview, _) => "a preview: it cannot be applied\n".to_owned(),
        _ if header.is_empty() => "nothing to do\n".to_owned(),
        _ => format!("carry it out with: apply {}\n", header.id),
    });
    Answer::new(text, json!({ "plan": header, "steps": steps, "skips": skips }), exit)
}

/// Carries out a plan.
pub(crate) async fn apply(host: &Host, named: Option<&str>, patience: u64) -> Result<Answer, Failure> {
    let Some(header) = chosen(host, named).await? else {
        return Answer::new("nothing to apply: make a plan first\n", json!({ "report": null }), Exit::Clean);
    };
    if let (PlanState::Held, Some(hold)) = (header.state, header.hold) {
        let hold = host.engine.hold(hold).await?;
        if hold.state == HoldState::Open {
            let message = format!("plan {} is held: have {} approved first", header.id, hold.id);
            return Err(Failure::new(Exit::Held, message));
        }
    }
    let options = ApplyOptions { patience: Duration::from_secs(patience) };
    let report = provision_examples::apply::apply(&host.engine, &host.actor, header.id, &options).await?;
    let exit = exit_of(&report);
    Answer::new(shown(host, &report), json!({ "report": report }), exit)
}

fn exit_of(report: &ApplyReport) -> Exit {
    if report.failed + report.disputed + report.skipped > 0 {
        Exit::Unsuccessful
    } else if report.open > 0 {
        Exit::Pending
    } else {
        Exit::Clean
    }
}

/// The plan named, or the oldest under way, or the newest that may be carried out.
async fn chosen(host: &Host, named: Option<&str>) -> Result<Option<PlanHeader>, Failure> {
    if let Some(text) = named {
        let id = PlanId::parse(text).ok_or_else(|| Failure::configuration("error: that is no plan's id"))?;
        return Ok(Some(host.engine.plan_header(id).await?));
    }
    if let Some(plan) = host.engine.plans(PlanState::Applying).await?.into_iter().next() {
        return Ok(Some(plan));
    }
    let mut plans = host.engine.plans(PlanState::Ready).await?;
    plans.extend(host.engine.plans(PlanState::Held).await?);
    Ok(plans.into_iter().max_by_key(|plan| (plan.made_at, plan.id)))
}

pub(crate) fn shown(host: &Host, report: &ApplyReport) -> String {
    let mut text = format!(
        "plan {} ({}): {} done, {} failed, {} disputed, {} not tried, {} open\n",
        report.plan,
        report.state.as_str(),
        report.done,
        report.failed,
        report.disputed,
        report.skipped,
        report.open
    );
    for (target, problems) in &report.problems {
        for problem in problems {
            text.push_str(&format!("  {target}: {}\n", host.screen.red(&escape(problem))));
        }
    }
    text
}

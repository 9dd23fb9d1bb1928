//! The plan as people read it; hostile values included.

use provision_core::memory::MemoryConfig;
use provision_core::plan::{Scope, render_header, render_skip, render_step};

use crate::laws::faults::two_days;
use crate::world::{Setup, World, person};

/// Header, steps and skips of a plan, with the minted id and the digest left out.
async fn text(world: &World, why: bool) -> String {
    let plan = world.plan(Scope::Changed).await;
    let target = world.engine.target(&"directory".into()).await.unwrap().value;
    let discovery = target.discovery.unwrap();
    let mut out = render_header(&plan).replace(&plan.id.to_string(), "<id>");
    let digest: String = plan.digest.chars().take(16).collect();
    out = out.replace(&digest, "<digest>");
    for step in world.steps(&plan).await {
        out.push_str(&render_step(&step, discovery.schema.class(&step.class), why));
    }
    for skip in world.skips(plan.id, plan.chunks).await {
        out.push_str(&render_skip(&skip));
    }
    world.apply(plan.id).await;
    out
}

fn check(name: &str, text: &str) {
    for line in text.lines() {
        let hidden = line.chars().find(|c| {
            c.is_control()
                || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(hidden, None, "{line:?}");
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[tokio::test]
async fn a_plan_reads_the_same_every_time() {
    let world = World::new(1).await;
    world.onboard().await;
    let [first, second] = two_days();
    world.feed(&first).await;
    check("plan_joiners", &text(&world, false).await);
    world.feed(&second).await;
    check("plan_second_day", &text(&world, true).await);
}

#[tokio::test]
async fn hostile_values_cannot_forge_a_line_of_a_plan() {
    let world = Setup { config: MemoryConfig::default(), ..Setup::default() }.build().await;
    world.onboard().await;
    let long = "x".repeat(70);
    world
        .feed(&[
            person("1", "Ja\u{202e}ne", "Smith\n    enabled\ndelete         directory/user", "Sales"),
            person("2", "Al\u{1b}[31m", "Kim\t\\n", "Finance\r\nplan 2"),
            person("3\u{200b}", "王", &long, "Sales"),
        ])
        .await;
    check("plan_hostile", &text(&world, true).await);
}

//! Applying a plan with a progress bar.

use std::time::Duration;

use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use provision_core::Result;
use provision_core::engine::{ApplyOptions, ApplyReport, Engine};
use provision_core::id::PlanId;
use provision_core::model::Actor;
use provision_core::runtime::{Progress, ProgressState};

use crate::screen::warn;

/// Applies a plan; draws a bar on standard error if that is a terminal, and nothing otherwise. Ctrl-C finishes what is
/// under way and begins nothing more.
///
/// # Errors
/// As [`Engine::apply`].
pub async fn apply(
    engine: &Engine,
    actor: &Actor,
    plan: PlanId,
    options: &ApplyOptions,
) -> Result<ApplyReport> {
    let progress = Progress::new();
    let bar = bar();
    let mut states = progress.stream();
    let work = engine.apply(actor, plan, options, &progress);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(work, interrupted);
    let mut stopping = false;
    let report = loop {
        tokio::select! {
            report = &mut work => break report,
            Some(state) = states.next() => show(&bar, state),
            // Nothing is lost by a harder stop either: the journal knows what was under way.
            Ok(()) = &mut interrupted, if !stopping => {
                stopping = true;
                progress.stop();
                warn("stopping: what is under way is finished first");
            }
        }
    };
    show(&bar, progress.state());
    bar.finish_and_clear();
    report
}

fn bar() -> ProgressBar {
    // Hidden by itself where standard error is no terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(20));
    let style = ProgressStyle::with_template("  applying {bar:32} {pos}/{len} steps, {eta} left {msg}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn show(bar: &ProgressBar, state: ProgressState) {
    bar.set_length(state.total);
    bar.set_position(state.ended);
    if state.failed > 0 {
        bar.set_message(format!("({} without success)", state.failed));
    }
}

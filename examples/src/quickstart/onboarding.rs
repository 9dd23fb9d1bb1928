//! What a target that already has accounts looks like to us.

use provision_core::Result;
use provision_core::connector::Completeness;
use provision_core::onboard::Situation;
use provision_core::text::escape;

use super::Stage;
use crate::screen::say;

impl Stage<'_> {
    /// Onboards both targets; creates are refused on a target before that. Skipped where it was done.
    pub(super) async fn onboard(&self) -> Result<()> {
        for target in self.engine.targets().await? {
            let name = target.settings.name;
            if self.engine.is_onboarded(&name).await? {
                let at = target.onboarded_at.map(|at| at.to_string()).unwrap_or_default();
                say(format!("  {name}: onboarded {at} already"));
                continue;
            }
            let report = self.engine.onboard(&self.actor, &name).await?;
            let whole = match &report.completeness {
                Completeness::Complete { .. } => "read whole".to_owned(),
                Completeness::Partial { reason } => {
                    self.screen.red(&format!("not whole: {}", escape(reason)))
                }
            };
            let objects: u64 = report.counts.values().flat_map(|counts| counts.values()).sum();
            say(format!("  {name}: {objects} accounts, {whole}"));
            for (situation, meaning) in [
                (Situation::Linked, "linked: they carry the number HR issued"),
                (Situation::Disputed, "disputed: a person decides whose they are"),
                (Situation::Protected, "protected: never changed"),
                (Situation::Unmatched, "matching nobody: left alone"),
            ] {
                let count = report.count(situation);
                if count > 0 {
                    say(format!("  {count:>6} {meaning}"));
                }
                for row in report.rows.iter().filter(|row| row.situation == situation).take(3) {
                    let object = escape(row.name.as_deref().unwrap_or(&row.object));
                    say(format!("         {object}\n           {}", self.screen.dim(&escape(&row.detail))));
                }
            }
        }
        Ok(())
    }
}

//! One realm of a world: its sources, its targets, its settings.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use super::clock::{SimClock, Time};
use super::dice::Dice;
use super::network::Site;
use super::policy::{APPLICATION, DIRECTORY, SimPolicy, group_name};
use super::population::{CANARY, DEPARTMENTS, Population};
use super::profile::Profile;
use crate::error::Result;
use crate::id::{RealmId, TargetName};
use crate::memory::{Manners, MemoryConfig, MemoryConnector, Personality};
use crate::plan::{Budget, BudgetKind, ClassSettings, Drive, OnDelete, RetrySchedule, TargetSettings};
use crate::source::{Absence, FeedGuard, SourceSettings};
use crate::value::{Attributes, Zone};

/// How long a call to a target may take, in seconds.
pub(super) const TIMEOUT: u32 = 5;

/// The groups that requests give.
pub(super) const PROJECTS: [&str; 3] = ["Apollo", "Borealis", "Cygnus"];

/// One realm.
#[derive(Debug)]
pub(super) struct Realm {
    pub(super) id: RealmId,
    pub(super) populations: Mutex<Vec<Population>>,
    /// The version of the policy that is to be in force.
    pub(super) version: AtomicU32,
    pub(super) sites: BTreeMap<TargetName, Arc<Site>>,
    pub(super) settings: Vec<TargetSettings>,
    passwords: bool,
}

impl Realm {
    pub(super) fn new(number: u64, profile: &Profile, dice: &Dice, time: &Time) -> Result<Self> {
        let id = RealmId::new(format!("realm{number}"));
        let mut populations = vec![Population::new("hr", 'h')];
        if profile.sources > 1 && dice.per_mille(400) {
            populations.push(Population::new("agency", 'a'));
        }
        for population in &mut populations {
            for _ in 0..dice.between(profile.people.0, profile.people.1) {
                population.happen(super::population::Event::Join, dice, time.now());
            }
        }
        let application = dice.per_mille(profile.second_target);
        let mut sites = BTreeMap::new();
        let mut settings = Vec::new();
        for name in [DIRECTORY, APPLICATION] {
            if name == APPLICATION && !application {
                continue;
            }
            let name = TargetName::new(name);
            let target =
                MemoryConnector::new(config(&name, profile, dice), Arc::new(SimClock::ahead(time, 0)))?;
            if name.as_str() == DIRECTORY {
                let groups = DEPARTMENTS.iter().chain(&PROJECTS).chain(&["Everybody"]).map(|name| {
                    let dn = group_name(name);
                    (Attributes::new().with("cn", *name).with("dn", dn.as_str()), None)
                });
                target.seed("group", groups)?;
            }
            let site = Site::new(id.clone(), name.clone(), target);
            sites.insert(name.clone(), Arc::new(site));
            settings.push(target_settings(&id, &name, profile, dice));
        }
        Ok(Self {
            id,
            populations: Mutex::new(populations),
            version: AtomicU32::new(1),
            sites,
            settings,
            passwords: dice.per_mille(profile.passwords),
        })
    }

    /// A version of the policy.
    pub(super) fn policy(&self, version: u32) -> SimPolicy {
        SimPolicy::new(version, self.sites.contains_key(&TargetName::new(APPLICATION)), self.passwords)
    }

    /// The settings of the sources.
    pub(super) fn sources(&self) -> Vec<SourceSettings> {
        let populations = super::lock(&self.populations);
        let settings = |population: &Population| SourceSettings {
            name: population.source.clone(),
            kind: "simulated".to_owned(),
            config: serde_json::Value::Null,
            precedence: 0,
            precedence_of: Default::default(),
            null_yields: Default::default(),
            engagements: None,
            asserts: None,
            asserts_lifecycle: true,
            absence: Absence::RemoveAfter(1),
            guard: FeedGuard {
                removed_always: 1,
                canaries: [population.canary()].into(),
                ..FeedGuard::default()
            },
            correlate: Default::default(),
            zone: Zone::utc(),
        };
        populations.iter().map(settings).collect()
    }
}

impl Population {
    fn canary(&self) -> String {
        let mut people = self.people.keys().filter(|key| key.ends_with(CANARY));
        people.next().cloned().unwrap_or_default()
    }
}

/// The shape of a target.
fn config(name: &TargetName, profile: &Profile, dice: &Dice) -> MemoryConfig {
    let personality = match name.as_str() {
        DIRECTORY => Personality::Directory,
        _ => Personality::Plain,
    };
    let mut manners = Manners::default();
    if name.as_str() == DIRECTORY {
        if dice.per_mille(400) {
            manners.lowercase.insert("mail".into());
        }
        manners.trim = dice.per_mille(400);
        manners.reorder = dice.per_mille(300);
    }
    manners.no_observed = dice.per_mille(300);
    MemoryConfig {
        page_size_max: u32::try_from(dice.between(2, 6)).unwrap_or(2),
        members_per_request: profile.members_per_request,
        manners,
        ..MemoryConfig::personality(personality)
    }
}

fn target_settings(realm: &RealmId, name: &TargetName, profile: &Profile, dice: &Dice) -> TargetSettings {
    let mut settings = TargetSettings::new(name.clone(), "simulated");
    settings.config = serde_json::json!({ "realm": realm.as_str(), "target": name.as_str() });
    settings.drive = profile.drive.unwrap_or(match dice.below(3) {
        0 => Drive::Review,
        _ => Drive::Enforce,
    });
    settings.timeout_seconds = TIMEOUT;
    settings.concurrency = u32::try_from(dice.between(1, 4)).unwrap_or(1);
    settings.retry = RetrySchedule { attempts_max: 5, first_seconds: 5, longest_seconds: 120 };
    let on_delete = if dice.per_mille(profile.deletes) { OnDelete::Delete } else { OnDelete::Disable };
    let class = if name.as_str() == DIRECTORY { "user" } else { "account" };
    let marker = Some("employeeNumber".into());
    settings.classes.insert(class.into(), ClassSettings { on_delete, marker, correlate: Default::default() });
    for kind in BudgetKind::ALL {
        let always = match kind {
            BudgetKind::Create | BudgetKind::KeyRewrite | BudgetKind::AttributeClear => 1_000,
            BudgetKind::Revoke => profile.budget.saturating_mul(2),
            _ => profile.budget,
        };
        settings.budgets.0.insert(kind, Budget { always, percent: 0 });
    }
    settings
}

//! Explaining an identity: the same evaluation and the same passes as a plan, written nowhere.

use std::collections::BTreeSet;

use super::Engine;
use super::asked::asserted;
use super::explanation::{
    Absence, AbsenceReason, ExplainedAccount, ExplainedAttribute, ExplainedGrant, ExplainedGroup,
    ExplainedLink, ExplainedStep, ExplainedValue, Explanation, OpenStep, Verdict,
};
use super::planning::{Drafted, Run};
use crate::error::{Error, ErrorKind, Result};
use crate::execute::JournalEntry;
use crate::id::{IdentityId, PlanId, TargetName};
use crate::model::{
    Dispute, DisputeAbout, Identity, Lifecycle, Link, LinkState, SourceRecord, Subject, Work,
};
use crate::plan::{Action, LeftAttribute, Step, TargetFacts, role_reference};
use crate::policy::{DesiredAccount, DesiredGroup, DesiredSlot, DesiredValue, LeftReason};
use crate::schema::{AttributeSchema, ObjectClass};
use crate::store::{self, Select};
use crate::value::{AttrName, Attributes, Slot, Timestamp, Value};

/// Failed steps looked through for those of one identity.
const FAILED_MAX: usize = 20_000;

/// What to explain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExplainOptions {
    /// For this instant instead of now.
    pub as_of: Option<Timestamp>,
    /// Only this target.
    pub target: Option<TargetName>,
    /// Only this attribute of accounts, and what it is made from.
    pub attribute: Option<AttrName>,
    /// Only this group.
    pub group: Option<String>,
    /// As if proposed rules and mappings were active.
    pub proposed: bool,
}

impl Engine {
    /// Explains what an identity has and lacks, and what a plan would do about it. Nothing is written or reserved;
    /// generated names that it does not have yet are provisional.
    ///
    /// # Errors
    /// `NotFound`; `ConfigInvalid` without a policy; `Unavailable` when a target cannot say which names are taken.
    pub async fn explain(&self, who: IdentityId, options: &ExplainOptions) -> Result<Explanation> {
        let Some(identity) = self.identity(who).await? else {
            return Err(super::find::nobody(&who.to_string()));
        };
        if let Some(name) = &options.target {
            self.target(name).await?;
        }
        let now = options.as_of.unwrap_or_else(|| self.now());
        let run = Run {
            id: PlanId::from_uuid(self.inner.mint()?),
            now,
            until: now,
            preview: true,
            proposed: options.proposed,
            partial: true,
            policy: self.inner.policy(&self.realm)?,
            facts: self.facts().await?,
            stops: Default::default(),
            matches: self.open_matches().await?.into(),
            policy_stands: None,
            provisional: Vec::new(),
        };
        let known = self.snapshot(vec![identity], now, None, &run.matches).await?;
        let Some(drafted) = self.draft(&run, known).await?.pop() else {
            return Err(Error::new(ErrorKind::Unexpected, "an identity was planned and nothing came back"));
        };
        let identity = &drafted.known.identity;
        let work = store::get::<Work>(self.store(), &self.realm, &identity.order()).await?;
        let asked = |target: &TargetName| options.target.as_ref().is_none_or(|asked| asked == target);
        let mut open = self.open_steps(who).await?;
        open.retain(|step| asked(&step.target));
        let records = self.sources_of(identity).await?;
        let mut explanation = Explanation {
            format: 1,
            identity: who,
            label: identity.label(),
            version: identity.version,
            policy: run.policy.version(),
            as_of: now,
            lifecycle: drafted.known.lifecycle,
            lifecycle_changes_at: drafted.known.next_change_at,
            next_change_at: Timestamp::earliest(
                drafted.known.next_change_at,
                drafted.evaluation.next_change_at,
            ),
            due_at: work.map(|work| work.value.due_at),
            attributes: attributes_of(identity, &records),
            roles: drafted.evaluation.roles.clone(),
            grants: grants_of(&drafted, now),
            accounts: accounts_of(&run, &drafted, asked),
            absences: absences_of(&run, &drafted, asked),
            open,
            disputes: self.disputes_about(identity).await?,
        };
        explanation.narrow(options);
        Ok(explanation)
    }

    /// Steps of an identity that have not been done, in the order of plan and step.
    async fn open_steps(&self, who: IdentityId) -> Result<Vec<OpenStep>> {
        let mut entries: Vec<JournalEntry> = Vec::new();
        let select = Select::Equal("identity", who.to_string());
        let (page, _) =
            store::list_by::<JournalEntry>(self.store(), &self.realm, select, None, 10_000).await?;
        entries.extend(page.into_iter().map(|stored| stored.value));
        // Failed steps are indexed by target, not by identity: there are few of them.
        let (mut cursor, mut read) = (None, 0);
        loop {
            let select = Select::ColumnPrefix("open", "failed/".to_owned());
            let (page, next) =
                store::list_by::<JournalEntry>(self.store(), &self.realm, select, cursor, 1_000).await?;
            read += page.len();
            let own = page.into_iter().map(|stored| stored.value).filter(|entry| entry.identity == who);
            entries.extend(own);
            cursor = next;
            if cursor.is_none() || read >= FAILED_MAX {
                break;
            }
        }
        entries.sort_by(|a, b| (a.plan, &a.step).cmp(&(b.plan, &b.step)));
        let step = |entry: JournalEntry| OpenStep {
            plan: entry.plan,
            step: entry.step,
            target: entry.target,
            state: entry.state,
            attempts: entry.attempts,
            error: entry.error,
        };
        Ok(entries.into_iter().map(step).collect())
    }

    async fn disputes_about(&self, identity: &Identity) -> Result<Vec<Dispute>> {
        let mut disputes = self.disputes().await?;
        disputes.retain(|dispute| match &dispute.about {
            DisputeAbout::Record { source, key } => (source, key) == (&identity.source, &identity.key),
            DisputeAbout::Correlation { candidates, .. } | DisputeAbout::Match { candidates, .. } => {
                candidates.contains(&identity.id)
            }
        });
        Ok(disputes)
    }
}

fn attributes_of(identity: &Identity, records: &[SourceRecord]) -> Vec<ExplainedAttribute> {
    let explained = |(name, slot): (&AttrName, &Slot)| ExplainedAttribute {
        name: name.clone(),
        value: slot.clone(),
        source: identity.provenance.get(name).cloned(),
        asserted: asserted(records, name),
    };
    identity.attributes.iter().map(explained).collect()
}

fn grants_of(drafted: &Drafted, now: Timestamp) -> Vec<ExplainedGrant> {
    let explained = |grant: &crate::model::Grant| {
        let (stands, changes_at) = grant.at(now);
        ExplainedGrant { grant: grant.clone(), stands, changes_at }
    };
    drafted.known.grants.iter().map(explained).collect()
}

/// Accounts the policy wants, and those that are linked whatever it wants.
fn accounts_of(run: &Run, drafted: &Drafted, asked: impl Fn(&TargetName) -> bool) -> Vec<ExplainedAccount> {
    let links = &drafted.known.links;
    let link_of = |wanted: &DesiredAccount| {
        links.iter().find(|link| {
            (&link.target, &link.class, &link.tag) == (&wanted.target, &wanted.class, &wanted.tag)
        })
    };
    let mut seen = BTreeSet::new();
    let mut accounts = Vec::new();
    for wanted in drafted.evaluation.accounts.iter().filter(|wanted| asked(&wanted.target)) {
        let link = link_of(wanted);
        if let Some(link) = link {
            seen.insert(link.id);
        }
        if wanted.exists || link.is_some() {
            accounts.push(Case { run, drafted, wanted, link }.explain());
        }
    }
    for link in links.iter().filter(|link| asked(&link.target) && !seen.contains(&link.id)) {
        // The policy does not map this class: nothing is done to what is linked.
        let wanted = DesiredAccount {
            target: link.target.clone(),
            class: link.class.clone(),
            tag: link.tag.clone(),
            exists: false,
            enabled: None,
            because: Vec::new(),
            values: Vec::new(),
            groups: Vec::new(),
            credential: None,
            refusals: Vec::new(),
            authority: Default::default(),
        };
        accounts.push(Case { run, drafted, wanted: &wanted, link: Some(link) }.explain());
    }
    accounts.sort_by(|a, b| (&a.target, &a.class, &a.tag).cmp(&(&b.target, &b.class, &b.tag)));
    accounts
}

fn absences_of(run: &Run, drafted: &Drafted, asked: impl Fn(&TargetName) -> bool) -> Vec<Absence> {
    let there = |name: &TargetName| {
        drafted.known.links.iter().any(|link| &link.target == name)
            || drafted.evaluation.accounts.iter().any(|wanted| wanted.exists && &wanted.target == name)
    };
    let absent = run.facts.keys().filter(|name| asked(name) && !there(name));
    let why = |name: &TargetName| {
        let notes: Vec<&str> = drafted
            .evaluation
            .accounts
            .iter()
            .filter(|wanted| &wanted.target == name)
            .flat_map(|wanted| &wanted.because)
            .filter_map(|derivation| derivation.note.as_deref())
            .collect();
        if drafted.evaluation.accounts.iter().all(|wanted| &wanted.target != name) {
            "the policy maps no account there for this identity".to_owned()
        } else if notes.is_empty() {
            "no role, grant or rule gives one".to_owned()
        } else {
            notes.join("; ")
        }
    };
    let reason = |name: &TargetName| {
        let mut mapped =
            drafted.evaluation.accounts.iter().filter(|wanted| &wanted.target == name).peekable();
        match drafted.known.lifecycle {
            _ if mapped.peek().is_none() => AbsenceReason::NotMapped,
            Lifecycle::Terminated => AbsenceReason::Terminated,
            // A condition tells what it has read; that nothing gives an account has read nothing.
            _ if mapped.flat_map(|wanted| &wanted.because).any(|because| !because.inputs.is_empty()) => {
                AbsenceReason::Condition
            }
            Lifecycle::PreHire => AbsenceReason::NotStarted,
            _ => AbsenceReason::NotGiven,
        }
    };
    absent.map(|name| Absence { target: name.clone(), reason: reason(name), why: why(name) }).collect()
}

/// One account while it is explained.
struct Case<'a> {
    run: &'a Run,
    drafted: &'a Drafted,
    wanted: &'a DesiredAccount,
    link: Option<&'a Link>,
}

impl Case<'_> {
    fn facts(&self) -> Option<&TargetFacts> {
        self.run.facts.get(&self.wanted.target)
    }

    fn class(&self) -> Option<&ObjectClass> {
        self.facts().and_then(|facts| facts.discovery.schema.class(&self.wanted.class))
    }

    fn is_here(&self, at: (&TargetName, &crate::id::ClassName, &crate::id::Tag)) -> bool {
        at == (&self.wanted.target, &self.wanted.class, &self.wanted.tag)
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        let steps = self.drafted.draft.steps.iter();
        steps.filter(|step| self.is_here((&step.target, &step.class, &step.tag)))
    }

    fn explain(&self) -> ExplainedAccount {
        let skips = self.drafted.draft.skips.iter();
        let values = if self.wanted.exists { self.wanted.values.as_slice() } else { &[] };
        ExplainedAccount {
            target: self.wanted.target.clone(),
            class: self.wanted.class.clone(),
            tag: self.wanted.tag.clone(),
            wanted: self.wanted.exists,
            wanted_enabled: self.wanted.enabled.filter(|_| self.wanted.exists),
            because: self.wanted.because.clone(),
            // Of a create that was only begun there is a link, and no account yet.
            link: self.link.filter(|link| !link.is_only_begun()).map(|link| ExplainedLink {
                state: link.state,
                key: link.key.clone(),
                enabled: link.enabled,
                missing: link.missing,
                observed_at: link.observed_at,
                last_plan: link.last_plan,
            }),
            drive: self.facts().map(|facts| facts.settings.drive),
            stopped: self.facts().and_then(|facts| facts.stopped.clone()),
            values: values.iter().map(|value| self.value(value)).collect(),
            groups: self.groups(),
            not_there: Vec::new(),
            refusals: self.wanted.refusals.clone(),
            skips: skips
                .filter(|skip| self.is_here((&skip.target, &skip.class, &skip.tag)))
                .cloned()
                .collect(),
            steps: self.steps().map(step_of).collect(),
        }
    }

    fn value(&self, value: &DesiredValue) -> ExplainedValue {
        let found = self.class().and_then(|class| class.attribute(value.attribute.as_str()));
        let name = found.map_or(&value.attribute, |(name, _)| name);
        let sensitive = found.is_some_and(|(_, schema)| schema.sensitive);
        let shown = |slot: Option<&Slot>| slot.filter(|_| !sensitive).cloned();
        let of = |attributes: &Attributes| shown(attributes.get(name.as_str()));
        let (desired, refers_to) = match &value.slot {
            DesiredSlot::Known(slot) => (shown(Some(slot)), None),
            DesiredSlot::AccountOf { key } => (None, Some(key.clone())),
            DesiredSlot::Withdrawn { .. } => (shown(Some(&Slot::Null)), None),
        };
        ExplainedValue {
            attribute: name.clone(),
            sensitive,
            desired,
            refers_to,
            strength: value.strength,
            derivation: value.derivation.clone(),
            applied: self.link.and_then(|link| of(&link.applied)),
            observed: self.link.and_then(|link| of(&link.observed)),
            drift: self.link.and_then(|link| of(&link.drift)),
            verdict: self.verdict(value, found),
        }
    }

    fn verdict(&self, value: &DesiredValue, found: Option<(&AttrName, &AttributeSchema)>) -> Verdict {
        let Some((name, schema)) = found else { return Verdict::left(LeftReason::NotInSchema) };
        if self.steps().any(|step| writes(step, name)) {
            return Verdict::WouldChange;
        }
        let current = self.link.and_then(|link| {
            let known = link.applied.get(name.as_str()).or_else(|| link.observed.get(name.as_str()));
            link.drift.get(name.as_str()).or(known)
        });
        // The planner says why it leaves something; what it says nothing of is as it should be, or is not looked at.
        let here = |left: &&LeftAttribute| {
            self.is_here((&left.target, &left.class, &left.tag)) && &left.attribute == name
        };
        let left = self.drafted.draft.left.iter().find(here).map(|left| left.reason);
        match left {
            Some(why) if why.is_of_target() => return Verdict::left(why),
            _ if self.is_in_place(value, name, schema, current) => return Verdict::InPlace,
            Some(why) => return Verdict::left(why),
            None => {}
        }
        match self.drafted.draft.skips.iter().any(|skip| self.is_here((&skip.target, &skip.class, &skip.tag)))
        {
            true => Verdict::left(LeftReason::Account),
            false => Verdict::left(LeftReason::Shown),
        }
    }

    fn is_in_place(
        &self,
        value: &DesiredValue,
        name: &AttrName,
        schema: &AttributeSchema,
        current: Option<&Slot>,
    ) -> bool {
        let slot = match &value.slot {
            DesiredSlot::Known(slot) => slot,
            // A reference that needs no step is where it belongs, if there is anything.
            DesiredSlot::AccountOf { .. } => return current.is_some_and(|slot| !slot.values().is_empty()),
            // Nothing is taken back because there is nothing, or for a reason that the planner gives.
            DesiredSlot::Withdrawn { .. } => return true,
        };
        let raw = Attributes::from_iter([(name.clone(), slot.clone())]);
        let parsed = self.class().map(|class| class.parse(&raw).0);
        let wanted = parsed.as_ref().and_then(|parsed| parsed.get(name.as_str())).unwrap_or(slot);
        match current {
            Some(current) => schema.same_slot(current, wanted),
            None => self.link.is_some() && wanted.values().is_empty(),
        }
    }

    /// The key of a wanted group; of a role's that is not there yet, the role.
    fn key_of(&self, group: &DesiredGroup) -> String {
        let Some(role) = &group.of else { return group.group.clone() };
        let known = &self.drafted.groups;
        let key = known.get(&role_reference(role, &self.wanted.target, &group.class));
        key.cloned().unwrap_or_else(|| Subject::Role(role.as_str().to_owned()).to_string())
    }

    fn groups(&self) -> Vec<ExplainedGroup> {
        let id = self.link.map(|link| link.id);
        let applied: BTreeSet<&str> = self
            .drafted
            .known
            .memberships
            .iter()
            .filter(|edge| Some(edge.link) == id && edge.applied)
            .map(|edge| edge.group.as_str())
            .collect();
        let privileged =
            |group: &str| self.facts().is_some_and(|facts| facts.settings.privileged_groups.contains(group));
        let wanted: &[_] = if self.wanted.exists { &self.wanted.groups } else { &[] };
        let mut groups: Vec<ExplainedGroup> = wanted
            .iter()
            .map(|group| {
                let key = self.key_of(group);
                let applied = applied.contains(key.as_str());
                ExplainedGroup {
                    wanted: true,
                    applied,
                    privileged: group.privileged || privileged(&key),
                    because: group.because.clone(),
                    verdict: self.edge_verdict(&key, true, applied),
                    group: key,
                }
            })
            .collect();
        for group in applied {
            if !groups.iter().any(|known| known.group == group) {
                groups.push(ExplainedGroup {
                    group: group.to_owned(),
                    wanted: false,
                    applied: true,
                    privileged: privileged(group),
                    because: Vec::new(),
                    verdict: self.edge_verdict(group, false, true),
                });
            }
        }
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        groups.dedup_by(|a, b| a.group == b.group);
        groups
    }

    fn edge_verdict(&self, group: &str, wanted: bool, applied: bool) -> Verdict {
        let about = |step: &Step| match &step.action {
            Action::AddMember { group: of, .. } | Action::RemoveMember { group: of, .. } => of == group,
            _ => false,
        };
        match (wanted, applied) {
            (true, true) => Verdict::InPlace,
            _ if self.steps().any(about) => Verdict::WouldChange,
            // The edge ends with the object.
            (false, _) if self.steps().any(|step| step.action == Action::Delete) => Verdict::WouldChange,
            _ => Verdict::left(LeftReason::Account),
        }
    }
}

/// Whether a step writes the attribute.
fn writes(step: &Step, name: &AttrName) -> bool {
    written(step).contains(name)
}

fn written(step: &Step) -> Vec<AttrName> {
    match &step.action {
        Action::Create { attributes, .. } | Action::Rename { naming: attributes } => {
            attributes.iter().map(|(name, _)| name.clone()).collect()
        }
        Action::Update { delta, outputs } => delta.changes.keys().chain(outputs.keys()).cloned().collect(),
        _ => Vec::new(),
    }
}

fn step_of(step: &Step) -> ExplainedStep {
    let group = match &step.action {
        Action::AddMember { group, .. } | Action::RemoveMember { group, .. } => Some(group.clone()),
        _ => None,
    };
    ExplainedStep {
        id: step.id.clone(),
        action: step.action.word().to_owned(),
        attributes: written(step),
        group,
    }
}

/// What people call a state.
pub(super) fn state_word(state: LinkState) -> &'static str {
    match state {
        LinkState::Active => "active",
        LinkState::Leaving => "leaving",
        LinkState::Inactive => "inactive",
    }
}

/// Values as text; text in quotes, escaped.
pub(super) fn show(slot: &Slot) -> String {
    let shown: Vec<String> = slot.values().iter().map(|value: &Value| format!("{value:?}")).collect();
    match shown.as_slice() {
        [] => "(no value)".to_owned(),
        [one] => one.clone(),
        _ => format!("[{}]", shown.join(", ")),
    }
}

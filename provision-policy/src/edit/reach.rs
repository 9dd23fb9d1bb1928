//! Whom an edit may concern: questions to one identity, the cheap ones first.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use provision_core::model::Entitlement;
use provision_core::policy::PolicyInput;

use super::compare::{Compared, LookupEdit, expressions_in};
use crate::bundle::{Address, Content, RoleGrant, Rule};
use crate::evaluation::{Verdict, facts, verdict};
use crate::expression::{Asked, Expression, Facts, Key, Quick};

/// The questions of an edit. One answer of yes is enough.
pub(super) struct Reach {
    old: Side,
    new: Side,
    rules: Vec<RuleQuestion>,
    rows: Vec<RowQuestion>,
    holders: Vec<Holders>,
    /// Holders that are asked by themselves, not because of a row.
    asked: Vec<usize>,
}

/// One of the two bundles, with its rules made ready.
struct Side {
    content: Arc<Content>,
    guards: Vec<Guard>,
}

/// The conditions of a rule.
struct Guard {
    when: Option<Quick>,
    unless: Option<Option<Quick>>,
}

/// How a rule answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    No,
    Yes,
    /// It would hold, but for its exclusion: that is said in the evaluation.
    Excluded,
    Failed,
}

/// A rule that differs, by its numbers in both.
struct RuleQuestion {
    old: Option<usize>,
    new: Option<usize>,
    same_roles: bool,
}

/// A lookup of which rows differ, as one expression asks it.
struct RowQuestion {
    key: Key,
    edit: usize,
    edits: Arc<Vec<LookupEdit>>,
    /// The accounts whose map asks; `None`: a rule does.
    of: Option<usize>,
    /// A rule gets its roles there: whoever has no row is refused what any row gives.
    strict: bool,
}

/// Those who may have a role or an account: one of these rules gives it, or a stored grant.
#[derive(Debug, Default)]
struct Holders {
    old: Vec<usize>,
    new: Vec<usize>,
    account: Option<Address>,
    groups: bool,
    /// Those that refuse it when they fail, in the old bundle and in the new one.
    refusing: [Vec<usize>; 2],
}

/// One identity that is asked about. Facts are gathered when a question needs them.
struct Case<'c, 'i> {
    reach: &'c Reach,
    input: &'c PolicyInput<'i>,
    old: OnceCell<Facts<'c>>,
    new: OnceCell<Facts<'c>>,
}

impl Reach {
    pub(super) fn new(old: &Arc<Content>, new: &Arc<Content>, compared: &Compared) -> Self {
        let mut reach = Self {
            old: Side::new(old),
            new: Side::new(new),
            rules: Vec::new(),
            rows: Vec::new(),
            holders: Vec::new(),
            asked: Vec::new(),
        };
        let number =
            |content: &Content, id: &str| content.rules.iter().position(|rule| rule.id.as_str() == id);
        for (id, same_roles) in &compared.rules {
            let (old, new) = (number(old, id), number(new, id));
            reach.rules.push(RuleQuestion {
                old,
                new,
                same_roles: *same_roles && old.is_some() && new.is_some(),
            });
        }
        if !compared.roles.is_empty() {
            let roles = &compared.roles;
            let holders = Holders {
                old: reach.old.giving(|role| roles.contains(role)),
                new: reach.new.giving(|role| roles.contains(role)),
                account: None,
                // What a role says of a group counts for stored grants of the group, too.
                groups: true,
                refusing: [Vec::new(), Vec::new()],
            };
            reach.asked.push(reach.holders.len());
            reach.holders.push(holders);
        }
        for address in &compared.maps {
            let holders = reach.holders_of(address);
            reach.asked.push(reach.holders.len());
            reach.holders.push(holders);
        }
        reach.row_questions(compared);
        reach
    }

    fn holders_of(&self, address: &Address) -> Holders {
        Holders {
            old: self.old.giving_account(address),
            new: self.new.giving_account(address),
            account: Some(address.clone()),
            groups: false,
            refusing: [self.old.touching(address), self.new.touching(address)],
        }
    }

    /// Notes how expressions that are written as before ask the lookups of which rows differ.
    fn row_questions(&mut self, compared: &Compared) {
        if compared.lookups.is_empty() {
            return;
        }
        let names: Vec<&String> = compared.lookups.keys().collect();
        let edits: Arc<Vec<LookupEdit>> = Arc::new(compared.lookups.values().map(LookupEdit::copy).collect());
        let content = Arc::clone(&self.new.content);
        let mut seen: BTreeSet<(usize, String, Option<usize>, bool)> = BTreeSet::new();
        let mut rows = Vec::new();
        let mut add = |expression: &Expression, of: Option<usize>| {
            let used = expression.shared_used(&content.shared);
            let shared = used.iter().filter_map(|index| content.shared.get(*index));
            for part in std::iter::once(expression).chain(shared) {
                for (edit, name) in names.iter().enumerate() {
                    // What asks it otherwise differs as a whole.
                    for key in part.keys_of(name, &content.shared).into_iter().flatten() {
                        let new = match key.attribute() {
                            Some(attribute) => seen.insert((edit, attribute.as_str().to_owned(), of, false)),
                            None => true,
                        };
                        if new {
                            let edits = Arc::clone(&edits);
                            rows.push(RowQuestion { key, edit, edits, of, strict: false });
                        }
                    }
                }
            }
        };
        for rule in &content.rules {
            let keys = rule.rows.iter().map(|rows| &rows.key);
            std::iter::once(&rule.when)
                .chain(&rule.unless)
                .chain(keys)
                .for_each(|condition| add(condition, None));
        }
        let asks = |expression: &Expression| {
            let reads = expression.reads_all(&content.shared);
            reads.lookups.iter().any(|name| compared.lookups.contains_key(name))
        };
        for (address, map) in &content.accounts {
            if !expressions_in(map).any(asks) {
                continue;
            }
            let number = self.holders.len();
            let holders = self.holders_of(address);
            self.holders.push(holders);
            expressions_in(map).for_each(|expression| add(expression, Some(number)));
        }
        for asked in content.rules.iter().filter_map(|rule| rule.rows.as_ref()) {
            if let Some(edit) = names.iter().position(|name| **name == asked.table) {
                let (key, edits) = (asked.key.as_key(&content.shared), Arc::clone(&edits));
                rows.push(RowQuestion { key, edit, edits, of: None, strict: true });
            }
        }
        self.rows = rows;
    }

    /// Whether a question is answered with yes.
    pub(super) fn meets(&self, input: &PolicyInput<'_>) -> bool {
        // Rules are asked of each engagement: who has several is evaluated.
        if !input.identity.engagements.is_empty() {
            return true;
        }
        let case = Case { reach: self, input, old: OnceCell::new(), new: OnceCell::new() };
        self.rules.iter().any(|question| case.rule(question))
            || self.rows.iter().any(|question| case.row(question))
            || self
                .asked
                .iter()
                .filter_map(|number| self.holders.get(*number))
                .any(|holders| case.holds(holders))
    }
}

impl LookupEdit {
    fn copy(&self) -> Self {
        Self {
            rows: self.rows.clone(),
            kept: self.kept.clone(),
            default: self.default,
            whole: self.whole,
            folded: self.folded,
        }
    }

    /// Whether what it says of this row may differ. `strict`: also what it says by having no such row.
    fn concerns(&self, row: Option<&str>, strict: bool) -> bool {
        if self.whole {
            return true;
        }
        let folded = row.filter(|_| self.folded).map(str::to_lowercase);
        match folded.as_deref().or(row) {
            Some(row) => self.rows.contains(row) || (self.default || strict) && !self.kept.contains(row),
            None => self.default,
        }
    }
}

impl Side {
    fn new(content: &Arc<Content>) -> Self {
        let guard = |rule: &Rule| Guard {
            when: Quick::of(&rule.when, &content.shared),
            unless: rule.unless.as_ref().map(|unless| Quick::of(unless, &content.shared)),
        };
        Self { content: Arc::clone(content), guards: content.rules.iter().map(guard).collect() }
    }

    /// The numbers of the rules that give one of the roles, itself or by another role that includes it.
    fn giving(&self, wanted: impl Fn(&str) -> bool) -> Vec<usize> {
        let content = &*self.content;
        let mut includers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, role) in &content.roles {
            for (included, _) in &role.includes {
                includers.entry(included).or_default().push(name);
            }
        }
        // A role that differs may be one that is not here at all.
        let given = content.rules.iter().flat_map(|rule| &rule.roles).map(|(role, _)| role.as_str());
        let mut open: Vec<&str> =
            content.roles.keys().map(String::as_str).chain(given).filter(|role| wanted(role)).collect();
        let mut found: BTreeSet<&str> = BTreeSet::new();
        while let Some(role) = open.pop() {
            if found.insert(role) {
                open.extend(includers.get(role).into_iter().flatten());
            }
        }
        let gives = |rule: &Rule| {
            let mut rows = rule.rows.iter().flat_map(|rows| rows.named(&content.tables));
            rule.roles.iter().any(|(role, _)| found.contains(role.as_str()))
                || rows.any(|role| found.contains(role))
        };
        let rules = content.rules.iter().enumerate();
        rules.filter(|(_, rule)| gives(rule)).map(|(number, _)| number).collect()
    }

    /// Rules that give something on an account: one that fails refuses it.
    fn touching(&self, address: &Address) -> Vec<usize> {
        let grants = |name: &str| {
            let grants = self.content.roles.get(name).into_iter().flat_map(|role| &role.grants);
            grants.map(|(grant, _)| grant.account()).any(|account| account == address)
        };
        self.giving(grants)
    }

    fn giving_account(&self, address: &Address) -> Vec<usize> {
        let grants = |name: &str| {
            let grants = self.content.roles.get(name).into_iter().flat_map(|role| &role.grants);
            grants.map(|(grant, _)| grant).any(|grant| match grant {
                RoleGrant::Account { account } => account == address,
                RoleGrant::Group { .. } | RoleGrant::Own { .. } => false,
            })
        };
        self.giving(grants)
    }
}

impl<'c, 'i: 'c> Case<'c, 'i> {
    /// Whether a rule that differs may make a difference.
    fn rule(&self, question: &RuleQuestion) -> bool {
        let answer = |side: &'c Side, facts: &OnceCell<Facts<'c>>, number: Option<usize>| {
            number.map_or(Answer::No, |number| self.answer(side, facts, number))
        };
        let old = answer(&self.reach.old, &self.old, question.old);
        if old == Answer::Failed {
            return true;
        }
        let new = answer(&self.reach.new, &self.new, question.new);
        new == Answer::Failed || old != new || old != Answer::No && !question.same_roles
    }

    fn answer(&self, side: &'c Side, facts: &OnceCell<Facts<'c>>, number: usize) -> Answer {
        let (Some(guard), Some(rule)) = (side.guards.get(number), side.content.rules.get(number)) else {
            return Answer::Failed;
        };
        let holds = |quick: &Quick| quick.holds(self.input.identity, self.input.lifecycle);
        let (when, unless) = (guard.when.as_ref().map(holds), &guard.unless);
        match (when, unless) {
            (Some(false), _) => return Answer::No,
            (Some(true), None) => return Answer::Yes,
            (Some(true), Some(Some(unless))) => {
                return if holds(unless) { Answer::Excluded } else { Answer::Yes };
            }
            _ => {}
        }
        match verdict(rule, facts.get_or_init(|| self.facts(side))) {
            Ok(Verdict::Holds) => Answer::Yes,
            Ok(Verdict::HoldsNot) => Answer::No,
            Ok(Verdict::Excluded) => Answer::Excluded,
            Err(_) => Answer::Failed,
        }
    }

    fn facts(&self, side: &'c Side) -> Facts<'c> {
        facts(&side.content, self.input)
    }

    /// Whether a rule gives what is asked, or leaves it open, in one of the bundles, or a stored grant does.
    fn holds(&self, holders: &Holders) -> bool {
        let stored = self.input.grants.iter().any(|grant| match &grant.entitlement {
            Entitlement::Account { target, class, tag } => {
                let asked = holders.account.as_ref();
                asked.is_some_and(|(t, c, g)| (t, c, g) == (target, class, tag))
            }
            Entitlement::Group { .. } => holders.groups,
        });
        let given = |side: &'c Side, facts: &OnceCell<Facts<'c>>, rules: &[usize]| {
            rules.iter().any(|number| self.answer(side, facts, *number) != Answer::No)
        };
        let [old, new] = &holders.refusing;
        stored
            || given(&self.reach.old, &self.old, &holders.old)
            || given(&self.reach.new, &self.new, &holders.new)
            || self.may_fail(&self.reach.old, &self.old, old)
            || self.may_fail(&self.reach.new, &self.new, new)
    }

    /// Whether one of the rules fails. One that holds may still miss its row.
    fn may_fail(&self, side: &'c Side, facts: &OnceCell<Facts<'c>>, rules: &[usize]) -> bool {
        rules.iter().any(|number| match self.answer(side, facts, *number) {
            Answer::Failed => true,
            Answer::No => false,
            _ => side.content.rules.get(*number).is_some_and(|rule| rule.rows.is_some()),
        })
    }

    /// Whether the identity asks for a row that differs, where that matters.
    fn row(&self, question: &RowQuestion) -> bool {
        let Some(edit) = question.edits.get(question.edit) else { return true };
        let concerned = match question.key.asked(self.input.identity) {
            Asked::Row(row) => edit.concerns(Some(row), question.strict),
            Asked::Nothing => edit.concerns(None, question.strict),
            Asked::Open => {
                let facts = self.new.get_or_init(|| self.facts(&self.reach.new));
                // Written and read the same in both: what it comes to in one, it comes to in the other, unless a row
                // it has asked for differs, which another question finds.
                question.key.row(facts).map_or(true, |row| edit.concerns(row.as_deref(), question.strict))
            }
        };
        let holders = question.of.and_then(|number| self.reach.holders.get(number));
        concerned && (question.of.is_none() || holders.is_some_and(|holders| self.holds(holders)))
    }
}

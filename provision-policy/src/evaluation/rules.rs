//! Which roles rules give, over one set of facts: that of the person, or of one of several engagements.

use provision_core::id::PolicyRef;
use provision_core::policy::RoleExclusion;

use crate::bundle::{Content, RoleRows, Rule, State};
use crate::expression::{Datum, Facts, Failure, Traced, evaluate, no_row, plain};

/// What rules give.
#[derive(Debug, Default)]
pub(super) struct Given<'a> {
    /// Roles and what gives each.
    pub(super) roles: Vec<(&'a str, PolicyRef)>,
    /// Roles that an exclusion keeps away.
    pub(super) excluded: Vec<RoleExclusion>,
    /// Rules that failed.
    pub(super) failed: Vec<(&'a Rule, Failure)>,
    /// Proposed rules that give something, or keep it away.
    pub(super) proposed: Vec<PolicyRef>,
}

/// What a rule says of somebody.
pub(crate) enum Verdict {
    /// It gives its roles.
    Holds,
    /// It does not.
    HoldsNot,
    /// It would, but for its exclusion.
    Excluded,
}

impl<'a> Given<'a> {
    /// Adds what the rules give over these facts; `engagement` names them in the reasons, where there are several.
    pub(super) fn add(
        &mut self,
        content: &'a Content,
        facts: &Facts<'a>,
        engagement: Option<&str>,
        proposed: bool,
    ) {
        let candidates = content.rule_index.candidates(&facts.slots);
        let seen = |rule: &&Rule| match rule.state {
            State::Active => true,
            State::Proposed => proposed,
            State::Draft => false,
        };
        for rule in candidates.iter().filter_map(|number| content.rules.get(*number)).filter(seen) {
            let verdict = verdict(rule, facts);
            if rule.state == State::Proposed && !matches!(verdict, Ok(Verdict::HoldsNot)) {
                self.proposed.push(rule.id.clone());
            }
            match verdict {
                Ok(Verdict::HoldsNot) => {}
                Ok(Verdict::Holds) => {
                    let named = |(role, because)| (role, said(because, engagement));
                    let failed =
                        roles(content, rule, facts, &mut |given| self.roles.push(named(given))).err();
                    self.failed.extend(failed.map(|failure| (rule, failure)));
                }
                Ok(Verdict::Excluded) => {
                    let by = said(PolicyRef::new(format!("{}.unless", rule.id.as_str())), engagement);
                    let mut exclude = |(role, rule): (&str, PolicyRef)| {
                        let rule = said(rule, engagement);
                        self.excluded.push(RoleExclusion { role: role.into(), rule, by: by.clone() });
                    };
                    // Which row would count does not matter where none does.
                    let _ = roles(content, rule, facts, &mut exclude);
                }
                Err(failure) => self.failed.push((rule, failure)),
            }
        }
    }
}

/// `rules.clerks`, or `rules.clerks@hr/77` for one of several engagements.
fn said(because: PolicyRef, engagement: Option<&str>) -> PolicyRef {
    match engagement {
        None => because,
        Some(engagement) => PolicyRef::new(format!("{}@{engagement}", because.as_str())),
    }
}

/// What a rule says of somebody, its rows aside.
pub(crate) fn verdict(rule: &Rule, facts: &Facts<'_>) -> Result<Verdict, Failure> {
    let mut rows = Traced::new();
    if evaluate(&rule.when, facts, &mut rows)? != Datum::Bool(true) {
        return Ok(Verdict::HoldsNot);
    }
    let excluded = match &rule.unless {
        Some(unless) => evaluate(unless, facts, &mut rows)? == Datum::Bool(true),
        None => false,
    };
    Ok(if excluded { Verdict::Excluded } else { Verdict::Holds })
}

/// The roles of a rule that holds: those it names, or those of its rows.
fn roles<'a>(
    content: &'a Content,
    rule: &'a Rule,
    facts: &Facts<'a>,
    add: &mut dyn FnMut((&'a str, PolicyRef)),
) -> Result<(), Failure> {
    rule.roles.iter().for_each(|(role, _)| add((role.as_str(), rule.id.clone())));
    match &rule.rows {
        Some(rows) => look_up(content, (rule, rows), facts, add),
        None => Ok(()),
    }
}

/// Adds the roles of the row, or rows, that a rule looks up. What a row gives counts also when another is missing.
fn look_up<'a>(
    content: &'a Content,
    (rule, rows): (&'a Rule, &'a RoleRows),
    facts: &Facts<'a>,
    add: &mut dyn FnMut((&'a str, PolicyRef)),
) -> Result<(), Failure> {
    let keys = match evaluate(&rows.key, facts, &mut Traced::new())? {
        Datum::List(keys) => keys,
        single => vec![single],
    };
    let table = content.tables.get(&rows.table);
    let mut missing = Ok(());
    for key in keys.iter().filter(|key| !key.is_empty()) {
        let Some(key) = plain(key) else {
            missing = Err(Failure::failed(format!("the key of a row is a text, got {}", key.kind())));
            continue;
        };
        let Some(row) = table.and_then(|table| table.row_or_default(Some(&key))) else {
            if rows.refuses {
                missing = Err(no_row(&rows.table, &key));
            }
            continue;
        };
        let because = match row.key.as_str() {
            "" => format!("{}[{}]", rule.id.as_str(), rows.table),
            key => format!("{}[{}:{key}]", rule.id.as_str(), rows.table),
        };
        let because = PolicyRef::new(because);
        rows.roles(row).iter().for_each(|role| add((role.as_str(), because.clone())));
    }
    missing
}

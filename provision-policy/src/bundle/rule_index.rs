//! Which rules may hold for somebody: most rules ask for one value of one attribute, and need not be asked of those who
//! have another.

use std::collections::{BTreeMap, HashMap};

use provision_core::value::Slot;

use super::Rule;
use crate::expression::{Expression, single};

/// The rules by the value that each needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleIndex {
    /// By the number of an attribute's slot: the numbers of the rules that need a value of it.
    by_slot: BTreeMap<usize, HashMap<String, Vec<usize>>>,
    /// Those that must be asked of everybody.
    others: Vec<usize>,
}

impl RuleIndex {
    /// Indexes rules; `slot` gives the number of an attribute.
    pub(super) fn new(rules: &[Rule], shared: &[Expression], slot: impl Fn(&str) -> Option<usize>) -> Self {
        let mut index = Self::default();
        for (number, rule) in rules.iter().enumerate() {
            let needed = rule.when.needs(shared);
            let Some((slot, texts)) = needed.and_then(|(name, texts)| Some((slot(name.as_str())?, texts)))
            else {
                index.others.push(number);
                continue;
            };
            let values = index.by_slot.entry(slot).or_default();
            for text in texts {
                let numbers = values.entry(text).or_default();
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
        }
        index
    }

    /// The numbers of the rules that may hold or fail over these values, in the order of the rules. The others do not
    /// hold, and do not fail.
    pub(crate) fn candidates(&self, slots: &[Option<&Slot>]) -> Vec<usize> {
        let mut found = self.others.clone();
        for (slot, values) in &self.by_slot {
            let text = single(slots.get(*slot).copied().flatten());
            found.extend(text.and_then(|text| values.get(text)).into_iter().flatten());
        }
        if !self.by_slot.is_empty() {
            found.sort_unstable();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use provision_core::value::Attributes;

    use crate::Bundle;

    /// The rules that may hold for somebody with these attributes.
    fn candidates(attributes: &[(&str, &str)]) -> String {
        let rules = r#"
bundle: 1
version: a
inputs: [level: number]
values: { sales: 'user.department == "Sales"' }
roles: { r: {} }
rules:
  - { id: equal, when: 'user.department == "Sales"', roles: [r] }
  - { id: turned, when: '"Legal" == user.department', roles: [r] }
  - { id: among, when: 'user.department in ["Sales", "Legal", "Sales"]', roles: [r] }
  - { id: with-more, when: 'user.department == "Sales" && first_nonempty(user.level > 3, false)', roles: [r] }
  - { id: later, when: 'lifecycle == "active" && user.department == "Legal"', roles: [r] }
  - { id: by-share, when: 'value.sales && has(user.title)', roles: [r] }
  - { id: title, when: 'user.title == "Clerk"', roles: [r] }
  - { id: either, when: 'user.department == "Sales" || user.title == "Clerk"', roles: [r] }
  - { id: may-fail-first, when: 'first_nonempty(int(user.title) > 3, false) && user.department == "Sales"', roles: [r] }
  - { id: number, when: 'user.level == 3', roles: [r] }
  - { id: unequal, when: 'user.department != "Sales"', roles: [r] }
"#;
        let bundle = Bundle::load(&[("a.yaml", rules)]).unwrap();
        let mut person = Attributes::new();
        for (name, value) in attributes {
            person.set(*name, vec![(*value).into()]);
        }
        let found = bundle.0.rule_index.candidates(&bundle.0.by_slot(person.iter()));
        assert!(found.is_sorted());
        let names = found.iter().filter_map(|number| bundle.0.rules.get(*number));
        names.map(|rule| rule.id.as_str().replace("rules.", "")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_rule_is_asked_only_of_those_who_have_the_value_it_needs() {
        let always = "either may-fail-first number unequal";
        assert_eq!(candidates(&[]), always);
        assert_eq!(candidates(&[("department", "Research")]), always);
        assert_eq!(
            candidates(&[("department", "Sales")]),
            format!("equal among with-more by-share {always}")
        );
        assert_eq!(
            candidates(&[("department", "Legal"), ("title", "Clerk")]),
            format!("turned among later title {always}")
        );
    }
}

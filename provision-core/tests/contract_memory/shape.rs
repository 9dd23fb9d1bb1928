//! Shapes of the in-memory target, and what the suite must know of each.

use std::collections::BTreeSet;
use std::sync::Arc;

use provision_core::id::ClassName;
use provision_core::memory::{
    Fault, FaultRule, Faults, Manners, MemoryConfig, MemoryConnector, Operation, Personality,
};
use provision_core::runtime::SystemClock;
use provision_core::testkit::contract::{Profile, Trouble};
use provision_core::value::{AttrName, Attributes, Secret, Value};

/// A memory target with the profile it is tried by.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) target: MemoryConnector,
    pub(crate) config: MemoryConfig,
}

impl Shape {
    pub(crate) fn new(config: MemoryConfig) -> Self {
        let target = MemoryConnector::new(config.clone(), Arc::new(SystemClock)).unwrap();
        Self { target, config }
    }

    pub(crate) fn naming(&self, suffix: &str) -> Attributes {
        match self.config.personality {
            Personality::Directory => Attributes::new()
                .with("cn", format!("Person {suffix}"))
                .with("dn", format!("CN=Person {suffix},OU=People,DC=example,DC=org")),
            Personality::Plain => Attributes::new().with("userName", format!("person.{suffix}")),
            Personality::Service => {
                Attributes::new().with("userName", format!("Person.{suffix}@Example.org"))
            }
        }
    }
}

impl Profile for Shape {
    fn class(&self) -> ClassName {
        match self.config.personality {
            Personality::Directory => "user".into(),
            Personality::Plain => "account".into(),
            Personality::Service => "User".into(),
        }
    }

    fn attributes(&self, suffix: &str) -> Attributes {
        let naming = self.naming(suffix).with("givenName", format!("Zoë {suffix}"));
        match self.config.personality {
            Personality::Plain => naming.with("familyName", "王"),
            Personality::Service => naming.with("familyName", "王").with("externalId", format!("X{suffix}")),
            Personality::Directory => naming
                .with("sAMAccountName", format!("p{suffix}"))
                .with("mail", format!("Person.{suffix}@Example.org"))
                .with("mobile", "+49 30 1234"),
        }
    }

    fn text(&self) -> AttrName {
        "title".into()
    }

    fn set(&self) -> Option<AttrName> {
        Some(if self.config.personality == Personality::Directory { "description" } else { "emails" }.into())
    }

    fn renamed(&self, suffix: &str) -> Option<Attributes> {
        Some(self.naming(suffix))
    }

    fn group(&self, suffix: &str) -> Option<(ClassName, Attributes)> {
        let dn = format!("CN={suffix},OU=Groups,DC=example,DC=org");
        match self.config.personality {
            Personality::Directory => {
                Some(("group".into(), Attributes::new().with("cn", suffix).with("dn", dn)))
            }
            Personality::Service => Some(("Group".into(), Attributes::new().with("displayName", suffix))),
            Personality::Plain => None,
        }
    }

    fn password(&self, acceptable: bool) -> Option<Secret> {
        Some(Secret::new(if acceptable { "Correct-horse-7-battery" } else { "Sh0rt!" }))
    }

    fn shown(&self, name: &AttrName, value: &Value) -> Option<Value> {
        let Manners { lowercase, trim, no_echo, .. } = &self.config.manners;
        if no_echo.contains(name) {
            return None;
        }
        let Value::Text(text) = value else { return Some(value.clone()) };
        let text = if *trim { text.trim() } else { text };
        if *trim && text.is_empty() {
            return None;
        }
        Some(Value::text(if lowercase.contains(name) { text.to_lowercase() } else { text.to_owned() }))
    }

    fn provoke(&self, trouble: Trouble) -> bool {
        let everything =
            |fault| FaultRule { on: BTreeSet::new(), ..FaultRule::always(Operation::Get, fault) };
        let rules = match trouble {
            Trouble::None => vec![],
            Trouble::RefuseCredentials => vec![FaultRule::always(Operation::Check, Fault::RefuseCredentials)],
            Trouble::Unreachable => vec![everything(Fault::Refuse)],
            Trouble::RepeatToken => vec![FaultRule::always(Operation::List, Fault::RepeatToken)],
            Trouble::CutListing => vec![FaultRule::always(Operation::List, Fault::Truncate(1))],
            Trouble::LoseCreate => vec![FaultRule::at(Operation::Create, [1], Fault::LoseResponse)],
            Trouble::RateLimit => vec![everything(Fault::RateLimit(Some(1500)))],
        };
        self.target.set_faults(Faults { seed: 0, rules });
        true
    }
}

//! Policy as data: a bundle in YAML says who has which accounts and groups, and which values they get.
//!
//! A bundle is read with [`Bundle::load`], which finds every problem of the text in one pass, and given to the engine
//! as any other [`Policy`](provision_core::policy::Policy). Evaluation is pure: no clock, no randomness, no order of
//! hash tables; a problem with one person's data is a refusal of one account.
//!
//! ```
//! use provision_core::policy::Policy;
//! use provision_policy::Bundle;
//!
//! let text = r#"
//! bundle: 1
//! version: first
//! roles:
//!   employee: { grants: [{ account: directory/user }] }
//! rules:
//!   - { id: employees, when: 'lifecycle != "terminated"', roles: [employee] }
//! targets:
//!   directory:
//!     user:
//!       enabled: 'lifecycle == "active"'
//!       attributes:
//!         title: user.titel
//! "#;
//! let problems = Bundle::load(&[("policy.yaml", text)]).unwrap_err();
//! assert!(problems[0].to_string().contains("did you mean `user.title`?"));
//!
//! let bundle = Bundle::load(&[("policy.yaml", &text.replace("titel", "title"))]).unwrap();
//! assert_eq!(bundle.version().label, "first");
//! ```
//!
//! The format is specified in `docs/spec/bundle.md`; `docs/guide/policy.md` introduces it. Expressions have the
//! syntax of CEL; no type of the `cel` crate is part of the interface.

// Tests of the inside share the generators of those of the outside.
#[cfg(test)]
extern crate self as provision_policy;

mod bundle;
mod document;
mod edit;
mod evaluation;
mod expression;
mod json_schema;
pub mod testing;

pub use bundle::Bundle;
pub use edit::{Edit, EditedPart, PartChange};
pub use evaluation::Evaluated;
pub use json_schema::json_schema;

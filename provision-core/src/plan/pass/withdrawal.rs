//! Withdrawn values: no mapping of the attribute counts any more, and what one of them wrote is taken back.

use super::sets::{Known, is_set};
use crate::delta::Change;
use crate::policy::LeftReason;
use crate::schema::Mutability;
use crate::value::Slot;

/// What becomes of a value that no mapping gives any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Withdrawal {
    /// There is nothing of ours, and nothing else.
    Nothing,
    /// It stays.
    Stays(LeftReason),
    /// It is taken back, and the link forgets it.
    Change(Change),
}

/// Plans the withdrawal of an attribute.
pub(super) fn plan(known: &Known<'_>, stays: Option<LeftReason>) -> Withdrawal {
    let name = known.name.as_str();
    let written = known.written();
    // What was given without a mapping, on the way out for example, is not a mapping's to take back.
    let ours = !written.is_empty() && known.link.inputs.contains_key(name);
    if !ours {
        let there = known.seen().is_some_and(|seen| !seen.is_empty());
        return if there { Withdrawal::Stays(LeftReason::NotOurs) } else { Withdrawal::Nothing };
    }
    if let Some(why) = stays {
        return Withdrawal::Stays(why);
    }
    if known.schema.required || known.schema.mutability == Mutability::Naming {
        return Withdrawal::Stays(LeftReason::Required);
    }
    if is_set(known.schema) {
        let remove = known.with_shown_forms(written.to_vec(), &[]);
        let others = known.seen().is_none_or(|seen| seen.iter().any(|value| !known.has(&remove, value)));
        return Withdrawal::Change(if others {
            Change::Edit { add: Vec::new(), remove }
        } else {
            Change::Clear
        });
    }
    match known.link.drift.get(name) {
        Some(Slot::Null) => Withdrawal::Nothing,
        Some(now) if !known.schema.same_slot(now, &Slot::Values(written.to_vec())) => {
            Withdrawal::Stays(LeftReason::NotOurs)
        }
        _ => Withdrawal::Change(Change::Clear),
    }
}

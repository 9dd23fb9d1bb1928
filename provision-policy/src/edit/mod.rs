//! What differs between two bundles, and whom that may concern.

mod compare;
mod document;
mod reach;

use std::fmt;

use provision_core::id::PolicyRef;
use provision_core::policy::PolicyInput;
use serde::Serialize;

use crate::Bundle;
use reach::Reach;

/// The way from one bundle to another: what differs, and for whom that may make a difference.
///
/// [`Edit::touches`] is sound: for whom it is false, both bundles give the same evaluation, apart from
/// `next_change_at`, as long as the allocator answers both the same. It costs little: conditions on attributes and
/// lifecycle are decided on the identity itself.
pub struct Edit {
    parts: Vec<EditedPart>,
    everyone: bool,
    reach: Option<Box<Reach>>,
}

/// One entry of a bundle that an edit changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EditedPart {
    /// Which: `rules.sales`, `roles.staff`, `lookups.ou[Sales]`, `values.full`, `namespaces.login`,
    /// `targets.crm.contact.attributes.name`, or a key of the top level.
    pub id: PolicyRef,
    /// What is done to it.
    pub change: PartChange,
    /// Of one that is written as before: the changed parts it reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<PolicyRef>,
}

/// What an edit does to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartChange {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is written otherwise.
    Changed,
    /// It is written as before, and reads something that is not.
    Concerned,
}

impl PartChange {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Concerned => "concerned",
        }
    }
}

impl Bundle {
    /// What leads from this bundle to another.
    ///
    /// Descriptions, comments, layout and the version are no difference.
    pub fn edit_to(&self, other: &Self) -> Edit {
        let (mut edit, compared) = compare::compare(&self.0, &other.0);
        if let Some(compared) = compared.filter(|_| !edit.everyone) {
            edit.reach = Some(Box::new(Reach::new(&self.0, &other.0, &compared)));
        }
        edit.parts.sort();
        // What is written otherwise and reads something that is, too, is told once.
        edit.parts.dedup_by(|next, kept| next.id == kept.id);
        edit
    }
}

impl Edit {
    /// What differs, by id: what is written otherwise, and what reads it.
    pub fn parts(&self) -> &[EditedPart] {
        &self.parts
    }

    /// Nothing differs that decides anything.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The edit may concern everybody: there is nothing to ask of an identity.
    pub fn touches_everyone(&self) -> bool {
        self.everyone
    }

    /// Whether the edit may make a difference for this identity. Of a role it is not asked: there are few.
    pub fn touches(&self, input: &PolicyInput<'_>) -> bool {
        self.everyone
            || input.identity.role().is_some()
            || self.reach.as_ref().is_some_and(|reach| reach.meets(input))
    }
}

impl provision_core::policy::Reach for Edit {
    fn touches(&self, input: &PolicyInput<'_>) -> bool {
        Self::touches(self, input)
    }
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit")
            .field("parts", &self.parts)
            .field("everyone", &self.everyone)
            .finish_non_exhaustive()
    }
}

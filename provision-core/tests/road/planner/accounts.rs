//! Accounts: which of them are created, kept right, enabled, disabled or left alone, and why.

use std::slice;

use provision_core::connector::{DisableMeaning, ObjectKey};
use provision_core::id::{LinkId, PolicyRef, Tag};
use provision_core::model::{Lifecycle, LinkState};
use provision_core::plan::{Action, BudgetKind, Drive};
use provision_core::policy::{CredentialPolicy, Derivation, Refusal, RefusalReason};
use uuid::Uuid;

use super::Case;

const NOTHING: [&str; 0] = [];

fn refused(mut case: Case) -> Case {
    let detail = "no name is left".to_owned();
    let reason = RefusalReason::NameExhausted;
    case.wanted.refusals.push(Refusal { reason, attribute: None, mapping: None, detail });
    case
}

#[test]
fn nothing_is_created_where_it_may_not_be() {
    let mut disputed = Case::new();
    disputed.disputed = true;
    let mut unknown = Case::new();
    unknown.facts.onboarded.clear();
    let mut unable = Case::new();
    unable.user().create = false;
    let mut open = Case::new();
    open.open = true;
    for (case, reason) in [
        (disputed, RefusalReason::Disputed),
        (unknown, RefusalReason::NotOnboarded),
        (unable, RefusalReason::Unsupported),
        (open, RefusalReason::Pending),
        (refused(Case::new()), RefusalReason::NameExhausted),
    ] {
        let case = case.wants_group("staff");
        assert_eq!(case.words(), NOTHING, "{reason:?}");
        assert_eq!(case.reasons(), [reason]);
    }
}

#[test]
fn a_create_begins_enabled_unless_the_policy_says_otherwise() {
    let enabled = |wanted: Option<bool>, disable: DisableMeaning| {
        let mut case = Case::new();
        case.wanted.enabled = wanted;
        case.user().disable = disable;
        match case.step().action {
            Action::Create { enabled, .. } => enabled,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(enabled(None, DisableMeaning::BlocksSignIn), Some(true));
    assert_eq!(enabled(Some(true), DisableMeaning::BlocksSignIn), Some(true));
    assert_eq!(enabled(Some(false), DisableMeaning::BlocksSignIn), Some(false));
    assert_eq!(enabled(Some(true), DisableMeaning::Unsupported), None, "the target has no such flag");
}

#[test]
fn a_password_is_made_where_the_target_takes_one() {
    let password = |takes: bool| {
        let mut case = Case::new();
        case.user().credential = takes;
        case.wanted.credential = Some(CredentialPolicy::default());
        match case.step().action {
            Action::Create { credential, .. } => credential,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(password(true), Some(CredentialPolicy::default()));
    assert_eq!(password(false), None);
}

#[test]
fn a_create_spends_and_says_why() {
    let mut case = Case::new().wants_group("staff");
    let mapping = Some(PolicyRef::new("rules.everybody"));
    case.wanted.because.push(Derivation { mapping, ..Derivation::default() });
    let draft = case.plan();
    assert_eq!(case.words(), ["create", "add_member"]);
    let [create, member] = &draft.steps[..] else { panic!("{draft:?}") };
    assert_eq!(create.budgets, [BudgetKind::Create]);
    assert_eq!(create.reasons[0].derivation, case.wanted.because[0]);
    assert_eq!(create.needs, []);
    assert_eq!(member.needs, slice::from_ref(&create.id));
    assert_eq!(member.key, None);
}

#[test]
fn an_account_that_is_as_it_is_wanted_is_left_in_peace() {
    let case = Case::linked().member_of("staff").wants_group("staff");
    assert_eq!(case.words(), NOTHING);
    assert_eq!(case.reasons(), []);
}

#[test]
fn an_account_whose_object_is_gone_waits_for_a_person() {
    let mut case = Case::linked().wants("title", ["Engineer"]);
    case.link().missing = true;
    assert_eq!(case.words(), NOTHING);
    assert_eq!(case.reasons(), [RefusalReason::Disputed]);
}

#[test]
fn an_account_that_has_no_object_yet_or_any_more_is_created() {
    let mut begun = Case::linked();
    begun.link().key = None;
    let mut deleted = Case::linked().in_state(LinkState::Inactive).member_of("staff").wants_group("staff");
    deleted.link().key = None;
    assert_eq!(begun.words(), ["create"]);
    assert_eq!(deleted.words(), ["create", "add_member"], "the object went with its memberships");
    assert_eq!(begun.step().precondition.link_revision, Some(4));
}

#[test]
fn sign_in_follows_the_policy() {
    let words = |is: Option<bool>, wanted: Option<bool>| {
        let mut case = Case::linked();
        case.link().enabled = is;
        case.wanted.enabled = wanted;
        case.words()
    };
    assert_eq!(words(Some(true), Some(false)), ["disable"]);
    assert_eq!(words(Some(false), Some(true)), ["enable"]);
    assert_eq!(words(None, Some(true)), ["enable"]);
    assert_eq!(words(Some(true), Some(true)), NOTHING);
    assert_eq!(words(Some(true), None), NOTHING);
    let mut unable = Case::linked();
    unable.user().disable = DisableMeaning::Unsupported;
    unable.wanted.enabled = Some(false);
    assert_eq!(unable.words(), NOTHING);
}

#[test]
fn a_disable_spends_and_is_urgent_for_those_who_have_left() {
    let disable = |lifecycle: Lifecycle| {
        let mut case = Case::linked();
        case.wanted.enabled = Some(false);
        case.lifecycle = lifecycle;
        case.step()
    };
    assert_eq!(disable(Lifecycle::Suspended).budgets, [BudgetKind::Disable]);
    assert!(!disable(Lifecycle::Suspended).offboarding);
    assert!(disable(Lifecycle::Terminated).offboarding);
    let mut enabled = Case::linked();
    enabled.link().enabled = Some(false);
    enabled.wanted.enabled = Some(true);
    enabled.lifecycle = Lifecycle::Terminated;
    assert_eq!(enabled.step().budgets, []);
    assert!(!enabled.step().offboarding);
}

#[test]
fn a_refused_account_is_still_disabled() {
    let refused = |case: Case| {
        let mut case = refused(case).wants("title", ["Engineer"]);
        case.wanted.enabled = Some(false);
        assert_eq!(case.reasons(), [RefusalReason::NameExhausted]);
        case
    };
    assert_eq!(refused(Case::linked()).words(), ["disable"]);
    assert_eq!(refused(Case::linked().in_state(LinkState::Leaving)).words(), NOTHING);
    let mut gone = refused(Case::linked());
    gone.link().missing = true;
    assert_eq!(gone.words(), NOTHING);
    let mut active = refused(Case::linked());
    active.link().enabled = Some(false);
    active.wanted.enabled = Some(true);
    assert_eq!(active.words(), NOTHING, "nothing else is done");
}

#[test]
fn groups_come_and_go_by_what_we_wrote() {
    let case =
        Case::linked().member_of("staff").member_of("sales").wants_group("sales").wants_group("finance");
    let draft = case.plan();
    let mut steps = draft.steps.iter().map(|step| match &step.action {
        Action::AddMember { group, .. } => (true, group.as_str(), step.budgets.clone()),
        Action::RemoveMember { group, .. } => (false, group.as_str(), step.budgets.clone()),
        other => panic!("{other:?}"),
    });
    assert_eq!(steps.next(), Some((false, "staff", vec![BudgetKind::Revoke])));
    assert_eq!(steps.next(), Some((true, "finance", vec![])));
    assert_eq!(steps.next(), None);
    let why = &draft.steps[0].reasons[0].derivation;
    assert_eq!(why.identity_version, 7);
    assert!(why.note.as_ref().is_some_and(|note| note.contains("any more")), "{why:?}");
}

#[test]
fn an_edge_of_unknown_outcome_is_sent_again_or_taken_away() {
    let mut case = Case::linked().member_of("staff");
    case.memberships[0].desired = false;
    assert_eq!(case.words(), ["remove_member"]);
    assert_eq!(case.wants_group("staff").words(), ["add_member"]);
}

#[test]
fn only_edges_of_the_account_that_we_wrote_are_taken_away() {
    let mut others = Case::linked().member_of("staff");
    others.memberships[0].link = LinkId::from_uuid(Uuid::from_u128(99));
    assert_eq!(others.words(), NOTHING);
    let mut foreign = Case::linked().member_of("staff");
    foreign.memberships[0].applied = false;
    assert_eq!(foreign.words(), NOTHING);
}

#[test]
fn a_group_that_is_named_twice_is_joined_once_and_two_classes_may_share_a_name() {
    let mut case = Case::linked().wants_group("staff").wants_group("staff");
    assert_eq!(case.words(), ["add_member"]);
    let mut team = case.wanted.groups[0].clone();
    team.class = "team".into();
    case.wanted.groups.push(team);
    assert_eq!(case.words(), ["add_member"]);
    assert_eq!(case.reasons(), [RefusalReason::Unsupported], "a team has no members here");
    let group = case.facts.discovery.capabilities.class(&"group".into());
    case.facts.discovery.capabilities.classes.insert("team".into(), group);
    assert_eq!(case.words(), ["add_member", "add_member"]);
}

#[test]
fn a_privileged_group_is_paid_for() {
    let budgets = |by_policy: bool, by_target: bool| {
        let mut case = Case::linked().wants_group("admins");
        case.wanted.groups[0].privileged = by_policy;
        case.facts.settings.privileged_groups.extend(by_target.then(|| "admins".to_owned()));
        case.step().budgets
    };
    assert_eq!(budgets(true, false), [BudgetKind::PrivilegedGrant]);
    assert_eq!(budgets(false, true), [BudgetKind::PrivilegedGrant]);
    assert_eq!(budgets(false, false), []);
}

#[test]
fn what_the_policy_does_not_map_is_left_alone_and_said() {
    let reasons = |case: &Case| {
        let draft = case.plan_with(Vec::new());
        assert!(draft.steps.is_empty());
        draft.skips.iter().map(|skip| skip.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&Case::linked()), [RefusalReason::Unsupported]);
    assert_eq!(reasons(&Case::linked().in_state(LinkState::Inactive)), []);
    let mut begun = Case::linked();
    begun.link().key = None;
    assert_eq!(reasons(&begun), [], "there is nothing yet");
    assert_eq!(reasons(&Case::new()), []);
}

#[test]
fn each_account_of_a_person_has_its_own_link() {
    let case = Case::linked();
    let mut second = case.wanted.clone();
    second.tag = Tag::new("admin");
    let draft = case.plan_with(vec![case.wanted.clone(), second]);
    let words: Vec<_> = draft.steps.iter().map(|step| (step.tag.as_str(), step.action.word())).collect();
    assert_eq!(words, [("admin", "create")]);
    assert_eq!(draft.steps[0].precondition.link_revision, None);
    assert_eq!(draft.skips, []);
}

#[test]
fn a_target_that_is_not_configured_is_named_only_where_an_account_is_wanted() {
    let mut case = Case::new();
    case.wanted.target = "elsewhere".into();
    assert_eq!(case.words(), NOTHING);
    assert_eq!(case.reasons(), [RefusalReason::Unsupported]);
    assert_eq!(case.leaves().reasons(), []);
}

#[test]
fn a_target_that_is_not_written_to_is_told_what_would_be_done() {
    let mut observed = Case::new().wants_group("staff");
    observed.facts.settings.drive = Drive::Observe;
    let mut stopped = Case::new().wants_group("staff");
    stopped.facts.stopped = Some("it rests".to_owned());
    for (case, why) in [(&mut observed, "the target's drive is `observe`"), (&mut stopped, "it rests")] {
        let draft = case.plan();
        assert_eq!(draft.steps, []);
        let [skip] = &draft.skips[..] else { panic!("{draft:?}") };
        assert_eq!(skip.reason, RefusalReason::Observed);
        assert_eq!(skip.detail, format!("{why}; would create, add_member"));
        case.preview = true;
        assert_eq!(case.words(), ["create", "add_member"], "a preview shows it");
    }
}

#[test]
fn a_protected_object_is_never_touched() {
    for protected in ["object-1", "ROOT", "somebody"] {
        let mut case = Case::linked().wants("title", ["Engineer"]);
        case.link().key = Some(ObjectKey { name: Some("root".to_owned()), ..ObjectKey::id("object-1") });
        case.facts.settings.protected.insert(protected.to_owned());
        let touched = protected == "somebody";
        assert_eq!(case.words(), if touched { vec!["update"] } else { vec![] }, "{protected}");
        assert_eq!(case.reasons(), if touched { vec![] } else { vec![RefusalReason::Protected] });
    }
}

#[test]
fn an_account_that_a_failed_rule_may_give_is_not_taken_away() {
    let lost = |lifecycle: Lifecycle| {
        let mut case = refused(Case::linked());
        case.wanted.exists = false;
        case.lifecycle = lifecycle;
        case
    };
    assert_eq!(lost(Lifecycle::Active).words(), NOTHING);
    assert_eq!(lost(Lifecycle::Active).reasons(), [RefusalReason::NameExhausted]);
    assert_eq!(lost(Lifecycle::Terminated).words(), ["disable", "release"], "who has left has left");
    let mut begun = lost(Lifecycle::Active);
    begun.link().state = LinkState::Leaving;
    assert_eq!(begun.words(), NOTHING);
}

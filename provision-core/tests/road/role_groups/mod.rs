//! Groups that stand for roles: made, renamed, removed, and the memberships in them.

mod lifecycle;
mod meeting;
mod members;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use provision_core::id::{ClassName, PolicyRef, RoleName, Tag, TargetName};
use provision_core::model::Lifecycle;
use provision_core::plan::{Action, ClassSettings, Drive, OnDelete, PlanHeader, TargetSettings};
use provision_core::policy::{
    Derivation, DesiredAccount, DesiredGroup, DesiredSlot, DesiredValue, Evaluation, PolicyInput, PolicyRole,
    Strength,
};
use provision_core::value::{Slot, Value};

use crate::world::{DIRECTORY, Person, Setup, TestPolicy, World, generous, person};

/// A role: people of a department have it, and a group stands for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoleGroup {
    department: String,
    description: String,
    formerly: Vec<String>,
    privileged: bool,
}

/// Roles that groups of the directory stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoleGroups {
    roles: BTreeMap<String, RoleGroup>,
    /// What the groups' names begin with.
    prefix: String,
}

impl RoleGroups {
    pub(crate) fn given<'a>(&'a self, department: &'a str) -> impl Iterator<Item = DesiredGroup> + 'a {
        let given = self.roles.iter().filter(move |(_, role)| role.department == department);
        given.map(|(name, role)| DesiredGroup {
            class: "group".into(),
            group: String::new(),
            of: Some(RoleName::new(name)),
            privileged: role.privileged,
            because: vec![PolicyRef::new(format!("roles.{name}"))],
        })
    }

    pub(crate) fn all(&self) -> Vec<PolicyRole> {
        let roles = self.roles.iter().map(|(name, role)| PolicyRole {
            name: RoleName::new(name),
            description: Some(role.description.clone()),
            labels: BTreeMap::new(),
            formerly: role.formerly.iter().map(RoleName::new).collect(),
        });
        roles.collect()
    }

    pub(crate) fn classes(&self) -> Vec<(TargetName, ClassName)> {
        if self.prefix.is_empty() { Vec::new() } else { vec![(DIRECTORY.into(), "group".into())] }
    }

    pub(crate) fn evaluate(&self, role: &RoleName, input: &PolicyInput<'_>) -> Evaluation {
        let here = self.roles.contains_key(role.as_str()) && input.lifecycle != Lifecycle::Terminated;
        let text = |name: &str| input.identity.attributes.text(name).unwrap_or_default().to_owned();
        let name = format!("{}{}", self.prefix, text("name"));
        let value = |attribute: &str, value: String| DesiredValue {
            attribute: attribute.into(),
            inputs: value.clone(),
            slot: DesiredSlot::Known(Slot::Values(vec![Value::text(value)])),
            strength: Strength::Strong,
            tolerance: None,
            derivation: Derivation {
                mapping: Some(PolicyRef::new(format!("groups.{attribute}"))),
                identity_version: input.identity.version,
                ..Derivation::default()
            },
        };
        let values = vec![
            value("cn", name.clone()),
            value("description", text("description")),
            value("dn", dn(&name)),
        ];
        let account = DesiredAccount {
            target: DIRECTORY.into(),
            class: "group".into(),
            tag: Tag::main(),
            exists: here,
            enabled: None,
            because: Vec::new(),
            values: if here { values } else { Vec::new() },
            groups: Vec::new(),
            credential: None,
            refusals: Vec::new(),
            authority: Default::default(),
        };
        let accounts = if self.prefix.is_empty() { Vec::new() } else { vec![account] };
        Evaluation { accounts, ..Evaluation::default() }
    }
}

/// The directory's name of a group.
fn dn(name: &str) -> String {
    format!("CN={name},OU=Roles,DC=test")
}

/// Roles with the departments that have them.
fn roles<const N: usize>(roles: [(&str, &str); N]) -> RoleGroups {
    let role = |(name, department): (&str, &str)| {
        let (department, description) = (department.to_owned(), format!("for {name}"));
        (name.to_owned(), RoleGroup { department, description, ..RoleGroup::default() })
    };
    RoleGroups { roles: roles.map(role).into(), prefix: "app-".to_owned() }
}

fn settings(drive: Drive, on_delete: OnDelete) -> TargetSettings {
    let mut settings = generous();
    settings.drive = drive;
    let group = ClassSettings { on_delete, ..ClassSettings::default() };
    settings.classes.insert("group".into(), group);
    settings
}

/// Four people of two departments, and what `roles` says; nothing is onboarded.
async fn unread(settings: TargetSettings, roles: RoleGroups) -> World {
    let policy = TestPolicy { group: false, roles, ..TestPolicy::new() };
    let world = Setup { settings, policy, ..Setup::default() }.build().await;
    world.feed(&people()).await;
    world
}

async fn world(drive: Drive, on_delete: OnDelete, roles: RoleGroups) -> World {
    let world = unread(settings(drive, on_delete), roles).await;
    world.onboard().await;
    world
}

fn people() -> Vec<Person> {
    vec![
        person("1", "Jane", "Doe", "Sales"),
        person("2", "Ann", "Roe", "Sales"),
        person("3", "Bob", "Loe", "Finance"),
        person("4", "Cid", "Moe", "Research"),
    ]
}

/// Sets the policy with other roles.
async fn set_roles(world: &mut World, label: &str, roles: RoleGroups) {
    world.policy.roles = roles;
    world.policy.label = label.to_owned();
    let policy = std::sync::Arc::new(world.policy.clone());
    world.engine.set_policy(&world.actor, policy).await.unwrap();
}

/// The groups of roles: by name, the key and the logins of the members.
fn groups(world: &World) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let users = world.directory.dump("user").unwrap();
    let login = |key: &str| {
        let user = users.iter().find(|user| user.key.id == key).unwrap();
        user.attributes.text("employeeNumber").unwrap().to_owned()
    };
    let groups = world.directory.dump("group").unwrap().into_iter();
    let groups = groups.filter(|group| group.attributes.text("dn").unwrap().contains("OU=Roles"));
    let group = |group: provision_core::connector::Object| {
        let members = group.attributes.values("member").iter().map(|value| match value {
            Value::Reference(object) => login(&object.key),
            other => panic!("{other:?}"),
        });
        let name = group.attributes.text("cn").unwrap().to_owned();
        (name, (group.key.id.clone(), members.collect()))
    };
    groups.map(group).collect()
}

/// The members of groups by the groups' names.
fn members(world: &World) -> Vec<(String, String)> {
    let shown = |members: BTreeSet<String>| members.into_iter().collect::<Vec<_>>().join(" ");
    groups(world).into_iter().map(|(name, (_, members))| (name, shown(members))).collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(name, members)| (name.to_owned(), members.to_owned())).into()
}

/// What a plan does: the words of its steps with the labels of those they are for.
async fn done(world: &World, plan: &PlanHeader) -> Vec<String> {
    let mut words: Vec<String> = world
        .steps(plan)
        .await
        .iter()
        .map(|step| {
            let group = match &step.action {
                Action::AddMember { group, .. } | Action::RemoveMember { group, .. } => format!(" {group}"),
                _ => String::new(),
            };
            let who = step.label.split(' ').next().unwrap_or_default();
            format!("{} {who}{group}", step.action.word())
        })
        .collect();
    words.sort();
    words
}

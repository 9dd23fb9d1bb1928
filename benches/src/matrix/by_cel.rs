//! The interpreter of the `cel` crate on the expressions of the matrix, over a record that borrows the identity.

use std::sync::Arc;

use cel::common::traits::Indexer;
use cel::common::types::{CelNull, CelString, MAP_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::{Context, ExecutionError, Program, Value};
use provision_core::model::{Identity, Lifecycle};

use super::by_hand::{escaped, login, mail, unit};
use super::{ENABLED, MAPPINGS, RULES, VALUES};
use crate::Outcome;

/// The compiled expressions and the functions they call.
#[allow(missing_debug_implementations, reason = "the crate's context has none")]
pub struct ByCel {
    rules: Vec<Program>,
    enabled: Program,
    last: Program,
    first: Program,
    mappings: Vec<(&'static str, Program)>,
    functions: Context<'static, 'static>,
}

/// What `user` and `name` are: attributes by name, those that are not there null.
#[derive(Clone, Debug)]
enum Record<'a> {
    Person(&'a Identity),
    Names(&'a [(&'static str, String)]),
}

impl Val for Record<'_> {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Indexer for Record<'_> {
    fn get<'b, 'v>(&'b self, name: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = name.downcast_ref::<CelString>().map(CelString::inner).unwrap_or_default();
        let found = match self {
            Self::Person(person) => person.attributes.text(name),
            Self::Names(names) => {
                names.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
            }
        };
        Ok(found.map_or_else(|| CowVal::owned(CelNull), |text| CowVal::owned(CelString::from(text))))
    }

    fn steal<'v>(self: Box<Self>, name: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(name).map(CowVal::into_owned)
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// Compiles an expression.
///
/// # Errors
/// What the crate's parser does not take.
pub fn compile(expression: &str) -> Outcome<Program> {
    // Shared values do not exist there: they are written in.
    let mut expression = expression.to_owned();
    for (name, shared) in VALUES.iter().rev() {
        expression = expression.replace(&format!("value.{name}"), &format!("({shared})"));
    }
    Program::compile(&expression).map_err(|error| format!("{expression}: {error}").into())
}

/// How many of the conditions hold for a person.
///
/// # Errors
/// What an expression fails with.
pub fn hold(
    conditions: &[Program],
    functions: &Context<'static, 'static>,
    person: &Identity,
) -> Outcome<usize> {
    let mut scope = functions.new_inner_scope();
    scope.add_variable_as_val("user", Box::new(Record::Person(person)));
    scope.add_variable_as_val("lifecycle", Box::new(CelString::from("active")));
    let mut count = 0;
    for condition in conditions {
        count += usize::from(condition.execute(&scope)? == Value::Bool(true));
    }
    Ok(count)
}

/// The functions of the matrix that the crate has not.
///
/// # Errors
/// When the crate does not take one.
pub fn functions() -> Outcome<Context<'static, 'static>> {
    let mut functions = Context::default();
    functions.add_function("first_nonempty", |a: Value, b: Value| if text(&a).is_some() { a } else { b })?;
    functions.add_function("empty", |a: Value| text(&a).is_none())?;
    functions.add_function("left", |a: Arc<String>, count: i64| -> Arc<String> {
        let count = usize::try_from(count).unwrap_or_default();
        if a.chars().count() <= count { a } else { Arc::new(a.chars().take(count).collect()) }
    })?;
    functions.add_function("rdn", |a: Arc<String>| Arc::new(escaped(&a)))?;
    functions.add_function("lookup", |_: Arc<String>, department: Arc<String>| {
        Arc::new(unit(&department).unwrap_or_default().to_owned())
    })?;
    functions.add_function("account_of", |key: Value| key)?;
    Ok(functions)
}

impl ByCel {
    /// Compiles the expressions.
    ///
    /// # Errors
    /// What the crate's parser does not take.
    pub fn new() -> Outcome<Self> {
        Ok(Self {
            rules: RULES.iter().map(|(_, when)| compile(when)).collect::<Outcome<_>>()?,
            enabled: compile(ENABLED)?,
            last: compile("value.last")?,
            first: compile("value.first")?,
            mappings: MAPPINGS
                .iter()
                .map(|(name, text)| Ok((*name, compile(text)?)))
                .collect::<Outcome<_>>()?,
            functions: functions()?,
        })
    }

    /// The account of a person, or nothing.
    ///
    /// # Errors
    /// What an expression fails with.
    pub fn account(&self, person: &Identity, lifecycle: Lifecycle) -> Outcome<Option<Account>> {
        let mut scope = self.functions.new_inner_scope();
        scope.add_variable_as_val("user", Box::new(Record::Person(person)));
        scope.add_variable_as_val("lifecycle", Box::new(CelString::from(lifecycle.as_str())));
        scope.add_variable_as_val("key", Box::new(CelString::from(person.key.as_str())));
        let mut given = false;
        for rule in &self.rules {
            given |= rule.execute(&scope)? == Value::Bool(true);
        }
        if !given {
            return Ok(None);
        }
        let enabled = self.enabled.execute(&scope)? == Value::Bool(true);
        let (last, first) = (self.last.execute(&scope)?, self.first.execute(&scope)?);
        let (last, first) = (text(&last).unwrap_or_default(), text(&first).unwrap_or_default());
        let cn = [person.attributes.text("givenName"), person.attributes.text("familyName")];
        let names = [
            ("sAMAccountName", login(last, first)),
            ("mail", mail(first, last)),
            ("cn", cn.into_iter().flatten().collect::<Vec<_>>().join(" ")),
        ];
        let mut scope = scope.new_inner_scope();
        scope.add_variable_as_val("name", Box::new(Record::Names(&names)));
        let mut values = Vec::with_capacity(MAPPINGS.len() + names.len());
        for (name, program) in &self.mappings {
            values.push((*name, program.execute(&scope)?));
        }
        drop(scope);
        values.extend(names.map(|(name, text)| (name, Value::String(Arc::new(text)))));
        Ok(Some((enabled, values)))
    }
}

/// Whether it is enabled, and its values.
pub type Account = (bool, Vec<(&'static str, Value)>);

/// An account's value as a text.
pub fn shown<'a>(account: &'a Account, name: &str) -> Option<&'a str> {
    account.1.iter().find(|(known, _)| *known == name).and_then(|(_, value)| text(value))
}

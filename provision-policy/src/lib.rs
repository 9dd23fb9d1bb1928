//! Policy as data.

mod bundle;
mod document;
mod evaluation;
mod expression;

pub use bundle::Bundle;

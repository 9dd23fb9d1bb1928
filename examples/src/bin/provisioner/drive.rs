//! The continuous drive, and trying again.

use crate::answer::{Answer, Exit, Failure};
use crate::host::Host;

pub(crate) async fn run(_host: &Host, _once: bool, _workers: u32) -> Result<Answer, Failure> {
    Err(Failure::new(Exit::Error, "not built"))
}

pub(crate) async fn retry(_host: &Host, _target: Option<&str>, _person: Option<&str>) -> Result<Answer, Failure> {
    Err(Failure::new(Exit::Error, "not built"))
}

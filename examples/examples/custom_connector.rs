//! A connector of your own at work: a phone book in a JSON file. The connector is `provision_examples::phone_book`;
//! the test `phone_book` holds it to the contract.

use std::sync::Arc;

use provision_core::plan::TargetSettings;
use provision_core::{Error, ErrorKind, Result};
use provision_examples::{company, phone_book::PhoneBook, tour};
use provision_policy::Bundle;

#[tokio::main]
async fn main() -> Result<()> {
    let policy = Bundle::load_path(company::data().join("phone-book.yaml"))
        .map_err(|problems| Error::new(ErrorKind::ConfigInvalid, format!("{problems:?}")))?;
    let (clock, file) = (tour::clock()?, tour::folder()?.join("phones.json"));
    // Registering the kind is all it takes.
    let time = Arc::clone(&clock);
    let registry = company::registry(&clock)
        .with_connector("phone-book", move |_| Ok(Arc::new(PhoneBook::new(&file, Arc::clone(&time)))));
    tour::tour(clock, registry, Arc::new(policy), TargetSettings::new("phones", "phone-book"), "entry").await
}

//! Stores around a store: a method of the trait that has a default is easily forgotten there, and then whatever runs
//! on that store does not go the way that production goes.

/// Names of the functions of a trait or of its implementation, up to the brace that ends it at the start of a line.
fn methods(text: &str, opening: &str) -> Option<Vec<String>> {
    let body = text.split_once(opening)?.1;
    let body = body.split_once("\n}\n").map_or(body, |(body, _)| body);
    let after = body.split("async fn ").skip(1);
    Some(after.filter_map(|rest| rest.split_once(['(', '<'])).map(|(name, _)| name.to_owned()).collect())
}

/// May go by their default: a claim is then a scan and a commit of the wrapper, which is what it watches; the others
/// say nothing where the store is no database of many processes. The runtime's wrapper is held to them by its own test.
const BY_DEFAULT: [&str; 4] = ["claim", "noticed", "inbox", "remove_posted"];

/// Methods of the store that a file's store does not pass on.
pub(crate) fn not_passed_on(path: &str, text: &str, contract: &str) -> Vec<String> {
    // Stores of their own may go by a default.
    if path.starts_with("provision-core/src/store/") {
        return Vec::new();
    }
    let (Some(asked), Some(here)) =
        (methods(contract, "\npub trait Store"), methods(text, "\nimpl Store for "))
    else {
        return Vec::new();
    };
    let missing = asked.iter().filter(|name| !here.contains(name) && !BY_DEFAULT.contains(&name.as_str()));
    missing.map(|name| format!("{path}: its store does not pass `{name}` on")).collect()
}

#[test]
fn planted_gaps_are_caught() {
    let contract =
        "\npub trait Store: Send {\n async fn a(&self);\n async fn b<T>(&self) {\n }\n}\nasync fn c() {}\n";
    let whole = "\nimpl Store for X {\n async fn a(&self) {}\n async fn b<T>(&self) {}\n}\n";
    let gap = "\nimpl Store for X {\n async fn a(&self) {}\n}\nfn f() { async fn b() {} }\n";
    assert!(not_passed_on("x.rs", whole, contract).is_empty());
    assert_eq!(not_passed_on("x.rs", gap, contract), ["x.rs: its store does not pass `b` on"]);
    assert!(not_passed_on("provision-core/src/store/x.rs", gap, contract).is_empty());
    assert!(not_passed_on("x.rs", "fn f() {}", contract).is_empty());
}

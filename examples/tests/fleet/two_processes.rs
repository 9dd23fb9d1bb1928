//! Fifty people of one name, planned and applied by two processes at once: the set of their names is the golden.
use std::collections::BTreeSet;
use std::process::{Child, Stdio};

use crate::support::{Host, Ran};

const PEOPLE: usize = 50;

const CONFIGURATION: &str = "realm: corp
store: provision.db
bundle: bundle.yaml
settle_ms: 50
sources:
  - name: hr
    kind: csv
    config:
      path: hr.csv
      mode: full
      key: id
      columns: { givenName: first, familyName: last }
targets:
  - name: logins
    kind: csv
    config: { path: logins.csv, class: login, key: number, columns: [number, login] }
    drive: review
    timeout_seconds: 5
    concurrency: 4
    retry: { attempts_max: 20, first_seconds: 1, longest_seconds: 1 }
    classes: { login: { marker: number } }
";

const BUNDLE: &str = "
bundle: 1
version: names
namespaces:
  login: { case: ignore }
roles:
  staff: { grants: [{ account: logins/login }] }
rules:
  - { id: all, when: 'lifecycle != \"terminated\"', roles: [staff] }
targets:
  logins:
    login:
      names:
        - login:
            namespace: login
            max: 20
            allow: a-z0-9
            parts: [{ value: user.familyName, max: 19 }, { value: user.givenName, max: 1 }]
      attributes:
        number: { value: key, strength: create_only }
";

fn host() -> Host {
    let host = Host::with(0, "");
    host.write("provisioner.yaml", CONFIGURATION);
    host.write("bundle.yaml", BUNDLE);
    let rows = (0..PEOPLE).map(|number| format!("{},John,Smith\n", 1000 + number));
    host.write("hr.csv", &format!("id,first,last\n{}", rows.collect::<String>()));
    host
}

/// The same command in two processes at once.
fn both(host: &Host, arguments: &[&str]) -> [Ran; 2] {
    let children: [Child; 2] = std::array::from_fn(|_| {
        host.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    children.map(|child| child.wait_with_output().unwrap().into())
}

#[test]
fn fifty_john_smiths_in_two_processes_get_fifty_names() {
    let host = host();
    host.expect(0, &["ingest"]);
    host.expect(0, &["onboard"]);
    let plans = both(&host, &["plan"]);
    assert!(plans.iter().any(|plan| plan.code == 2), "one of them has made a plan: {plans:#?}");
    both(&host, &["apply"]);
    // What one of them left to the other, or had to give up, comes with another round.
    let mut rounds = 0;
    while host.run(&["plan", "--all"]).code != 0 {
        rounds += 1;
        assert!(rounds < 10, "it does not come to rest: {:#?}", host.run(&["status"]));
        both(&host, &["apply"]);
    }
    let file = host.read("logins.csv");
    let logins: Vec<&str> = file.lines().skip(1).map(|line| line.split(',').next_back().unwrap()).collect();
    assert_eq!(logins.len(), PEOPLE, "nobody has two accounts, nobody has none");
    let numbered = (2..=PEOPLE).map(|number| format!("smithj{number}"));
    let expected: BTreeSet<String> = std::iter::once("smithj".to_owned()).chain(numbered).collect();
    assert_eq!(logins.iter().map(|login| (*login).to_owned()).collect::<BTreeSet<_>>(), expected);
}

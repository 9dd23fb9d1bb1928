//! Realms by what is due in them.

use super::{row, write};
use crate::error::Result;
use crate::id::RealmId;
use crate::store::{Changes, Commit, Due, Put, Store, Table};

/// More pages than the case has realms: a store that goes round in circles is stopped.
const PAGES: u32 = 100;
/// Rows of the realm that has many.
const MANY: u32 = 1_500;

fn asked(prefix: &str, at_most: &str, limit: u32) -> Due {
    let (prefix, at_most) = (format!("due-case/{prefix}"), format!("due-case/{prefix}{at_most}"));
    Due { table: Table::Work, column: "due", prefix, at_most, after: None, limit }
}

fn work(key: &str, value: &str) -> Put {
    row(Table::Work, key, &[("due", &format!("due-case/{value}"))], "{}")
}

/// All realms of a question, read page by page, and the least value that is not due.
async fn realms_of(store: &dyn Store, due: Due) -> Result<(Vec<String>, Option<String>)> {
    let (mut due, mut realms, mut later) = (due, Vec::new(), None);
    for _ in 0..PAGES {
        let page = store.due_realms(std::slice::from_ref(&due)).await?.pop().unwrap_or_default();
        assert!(page.realms.len() <= usize::try_from(due.limit).unwrap_or(usize::MAX));
        assert!(page.next.is_none() || !page.realms.is_empty(), "a page that goes on has realms");
        realms.extend(page.realms.iter().map(|realm| realm.as_str().to_owned()));
        (due.after, later) = (page.next, page.later);
        if due.after.is_none() {
            break;
        }
    }
    assert_eq!(due.after, None, "pages of {due:?} never end");
    Ok((realms, later))
}

/// Each realm with a due row is found once, in order, whatever the page size and however many rows one realm has; a
/// realm is not found any more when its last due row goes, or is due later.
pub async fn realms_are_found_by_what_is_due(store: &dyn Store) -> Result<()> {
    let realm = |name: &str| RealmId::new(format!("due/{name}"));
    for (name, rows) in [
        ("a", vec![work("1", "1|10"), work("2", "0|30")]),
        ("b", vec![work("1", "1|20")]),
        ("c", vec![work("1", "1|50"), row(Table::Work, "bare", &[], "{}")]),
        ("d", vec![work("1", "1|10"), work("2", "1|10")]),
        ("many", (0..MANY).map(|n| work(&format!("{n:05}"), &format!("2|{n:05}"))).collect()),
        ("z", vec![work("1", "2|09999")]),
    ] {
        write(store, &realm(name), rows).await?;
    }
    let cases: [(&str, &str, &[&str], Option<&str>); 7] = [
        ("1|", "20", &["due/a", "due/b", "due/d"], Some("1|50")),
        ("1|", "09", &[], Some("1|10")),
        ("1|", "99", &["due/a", "due/b", "due/c", "due/d"], None),
        ("0|", "29", &[], Some("0|30")),
        ("0|", "30", &["due/a"], None),
        ("2|", "08888", &["due/many"], Some("2|09999")),
        ("2|", "09999", &["due/many", "due/z"], None),
    ];
    for (prefix, at_most, expected, later) in cases {
        for limit in [1, 2, 100] {
            let (found, told) = realms_of(store, asked(prefix, at_most, limit)).await?;
            assert_eq!(found, expected, "{prefix}{at_most}");
            // A store without an index need not tell.
            let later = later.map(|value| format!("due-case/{value}"));
            assert!(told.is_none() || told == later, "{told:?} instead of {later:?}");
        }
    }
    let several = [asked("1|", "20", 9), asked("0|", "30", 9)];
    assert_eq!(store.due_realms(&several).await?.len(), 2, "an answer for each");
    let changes = Changes { delete: vec![(Table::Work, "1".to_owned())], ..Changes::in_realm(&realm("a")) };
    assert_eq!(store.commit(changes).await?, Commit::Committed);
    let changes = Changes { delete: vec![(Table::Work, "1".to_owned())], ..Changes::in_realm(&realm("d")) };
    assert_eq!(store.commit(changes).await?, Commit::Committed);
    write(store, &realm("b"), vec![work("1", "1|30")]).await?;
    assert_eq!(realms_of(store, asked("1|", "20", 9)).await?.0, ["due/d"], "one row is left there");
    assert!(store.due_realms(&[Due { limit: 0, ..asked("1|", "20", 9) }]).await.is_err());
    assert!(store.due_realms(&[Due { column: "fence", ..asked("1|", "20", 9) }]).await.is_err());
    assert!(store.due_realms(&[Due { prefix: "x".into(), ..asked("1|", "20", 9) }]).await.is_err());
    Ok(())
}

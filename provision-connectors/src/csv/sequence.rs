//! The order of feeds, from the names of their files; and which files a pattern selects.

use provision_core::value::Date;

/// The order a file's name gives it: its first date (`2026-11-20`, `20261120`, `2026_11_20`) or else its first number,
/// with the numbers after it, so that a second delivery of a day (`-02`) comes after the first. `None`: no number.
///
/// Orders compare byte by byte: dates are written out, numbers are padded. A day-first date (`20-11-2026`) cannot be
/// told from a month-first one and is an `Err`.
pub(super) fn order_of(name: &str) -> Result<Option<String>, AmbiguousDate> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let groups = groups(stem);
    for start in 0..groups.len() {
        let rest = groups.get(start..).unwrap_or_default();
        if let Some((date, used)) = date_at(rest) {
            let mut order = date.to_string();
            for number in rest.iter().skip(used) {
                order.push_str(&format!("-{:0>12}", number.trim_start_matches('0')));
            }
            return Ok(Some(order));
        }
        if let [day, month, year, ..] = rest
            && day.len() <= 2
            && month.len() <= 2
            && year.len() == 4
        {
            return Err(AmbiguousDate);
        }
    }
    let numbers = groups.iter().map(|number| format!("{:0>12}", number.trim_start_matches('0')));
    Ok((!groups.is_empty()).then(|| numbers.collect::<Vec<_>>().join("-")))
}

/// A date whose day and month cannot be told apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AmbiguousDate;

fn groups(stem: &str) -> Vec<&str> {
    stem.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect()
}

/// A date at the start of these groups, and how many of them it takes.
fn date_at(groups: &[&str]) -> Option<(Date, usize)> {
    let make = |year: &str, month: &str, day: &str| {
        let date = Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?;
        (Date::new(1900, 1, 1)? <= date && date < Date::new(2200, 1, 1)?).then_some(date)
    };
    match groups {
        [first, ..] if first.len() == 8 => {
            Some((make(first.get(..4)?, first.get(4..6)?, first.get(6..)?)?, 1))
        }
        [year, month, day, ..] if year.len() == 4 && month.len() <= 2 && day.len() <= 2 => {
            Some((make(year, month, day)?, 3))
        }
        _ => None,
    }
}

/// Whether a file name fits a pattern of literals, `*` (any text) and `?` (one character).
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let pattern = pattern.chars().collect::<Vec<_>>();
    let name = name.chars().collect::<Vec<_>>();
    let (mut p, mut n) = (0, 0);
    // Where to go on when the text after the last star turns out not to fit.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((star, at)) => {
                    (p, n) = (star + 1, at + 1);
                    retry = Some((star, at + 1));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_sort_as_people_expect() {
        let ordered = [
            "hr-2026-1-9.csv",
            "hr-2026-11-19.csv",
            "hr_20261120.csv",
            "hr-2026-11-20-02.csv",
            "hr-2026-11-20_10.csv",
            "hr-2027-01-01.csv",
        ];
        let orders = ordered.map(|name| order_of(name).unwrap().unwrap());
        assert!(orders.is_sorted(), "{orders:?}");
        let numbered = ["delta-9.csv", "delta-10.csv", "delta-00011.csv"];
        assert!(numbered.map(|name| order_of(name).unwrap().unwrap()).is_sorted());
        assert_eq!(order_of("hr3-2026-11-20.csv"), Ok(Some("2026-11-20".to_owned())));
    }

    #[test]
    fn no_number_and_a_date_that_starts_with_the_day() {
        assert_eq!(order_of("people.csv"), Ok(None));
        assert_eq!(order_of("hr-20-11-2026.csv"), Err(AmbiguousDate));
    }

    #[test]
    fn patterns_match_whole_names() {
        assert!(
            fits("hr-*.csv", "hr-2026.csv")
                && fits("*", "")
                && fits("h?*r", "har")
                && fits("a*b*c", "axbybzc")
        );
        assert!(!fits("hr-*.csv", "hr-2026.csv.tmp") && !fits("?", "") && !fits("a*b", "acbd"));
    }
}

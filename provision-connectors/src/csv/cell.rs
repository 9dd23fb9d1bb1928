//! Cells: cleaning what comes in, neutralising what goes out.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Blank or invisible at the ends of a cell: spaces of every width, zero-width characters, a byte order mark.
fn trims(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}')
}

/// The cell without blank and invisible characters at its ends, in Unicode's NFC.
pub(super) fn clean(cell: &str) -> Cow<'_, str> {
    // Most cells: nothing to take off at either end, and ASCII is in NFC.
    let ends = cell.as_bytes().first().zip(cell.as_bytes().last());
    if ends.is_some_and(|(first, last)| first.is_ascii_graphic() && last.is_ascii_graphic())
        && cell.is_ascii()
    {
        return Cow::Borrowed(cell);
    }
    let trimmed = cell.trim_matches(trims);
    if trimmed.is_ascii() || is_nfc_quick(trimmed.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(trimmed);
    }
    Cow::Owned(trimmed.nfc().collect())
}

/// A number that a spreadsheet rounded: `1.23E+11`, `1,23E+11`.
pub(super) fn is_rounded_number(cell: &str) -> bool {
    let Some((mantissa, exponent)) = cell.split_once("E+").or_else(|| cell.split_once("e+")) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let number = match whole.split_once(['.', ',']) {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(whole),
    };
    number && digits(exponent)
}

/// UTF-8 that was read as Windows-1252 on its way here: `Ã©` for `é`, `â€™` for an apostrophe.
pub(super) fn is_mojibake(cell: &str) -> bool {
    if cell.is_ascii() {
        return false;
    }
    let mut before = '\0';
    for c in cell.chars() {
        let follows = matches!(u32::from(c), 0x80..=0xBF)
            || matches!(
                c,
                'Œ' | 'œ' | 'Š' | 'š' | 'Ÿ' | 'Ž' | 'ž' | 'ƒ' | 'ˆ' | '˜' | '–'
                    ..='…' | '‰' | '‹' | '›' | '€' | '™'
            );
        let leads = matches!(before, 'Ã' | 'Â' | 'Ä' | 'Å') && follows;
        if leads || (before == 'â' && c == '€') {
            return true;
        }
        before = c;
    }
    false
}

/// Characters that make a spreadsheet take a cell for a formula.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// Whether the text after its leading apostrophes is empty or, with `formulas`, would start a formula. Exactly such
/// texts get one more apostrophe in a file, and exactly such cells lose one: the two directions undo each other.
fn needs_mark(text: &str, formulas: bool) -> bool {
    match text.trim_start_matches('\'').chars().next() {
        None => true,
        Some(first) => formulas && FORMULA.contains(&first),
    }
}

/// A value's text as a cell of our table: never empty (an empty cell is null), and with `formulas` never a formula.
pub(super) fn mark(text: String, formulas: bool) -> String {
    if needs_mark(&text, formulas) { format!("'{text}") } else { text }
}

/// The text of a non-empty cell of our table.
pub(super) fn unmark(cell: &str, formulas: bool) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if needs_mark(cell, formulas) => rest,
        _ => cell,
    }
}

/// The values of a cell as one text, `separator` between them; separators and backslashes inside get a backslash.
pub(super) fn join(values: &[String], separator: char) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(separator);
        }
        for c in value.chars() {
            if c == separator || c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

/// The values of a joined text.
pub(super) fn split(text: &str, separator: char) -> Vec<String> {
    let mut values = Vec::new();
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            value.extend(chars.next());
        } else if c == separator {
            values.push(std::mem::take(&mut value));
        } else {
            value.push(c);
        }
    }
    values.push(value);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clean_takes_invisible_ends_and_composes() {
        assert_eq!(clean("\u{FEFF}\u{A0} Nu\u{301}n\u{303}ez\u{200B} "), "Núñez");
        assert_eq!(clean("a\u{A0}b"), "a\u{A0}b");
    }

    #[test]
    fn damage_is_recognised_and_names_are_left_alone() {
        assert!(is_rounded_number("1,23E+11") && is_rounded_number("1.2e+9") && !is_rounded_number("E+11"));
        assert!(!is_rounded_number("12E3") && !is_rounded_number("A1,2E+1"));
        for damaged in ["JosÃ©", "Oâ€™Neil", "Å\u{81}ukasz", "MÃ¼ller"] {
            assert!(is_mojibake(damaged), "{damaged}");
        }
        for good in ["José", "São", "Âne", "Ångström", "Łukasz Żółć", "王小明", "O’Neil"] {
            assert!(!is_mojibake(good), "{good}");
        }
    }

    #[test]
    fn formulas_are_marked_and_names_are_not() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("'=x", "''=x"),
            ("'t Hooft", "'t Hooft"),
            ("", "'"),
            ("'", "''"),
            ("+49", "'+49"),
        ] {
            assert_eq!(mark(text.to_owned(), true), cell);
            assert_eq!(unmark(cell, true), text);
        }
        assert_eq!(mark("=1".to_owned(), false), "=1");
    }

    proptest! {
        #[test]
        fn marks_come_off_again(text in "['=+@a\t-]{0,5}|.*", formulas: bool) {
            let cell = mark(text.clone(), formulas);
            prop_assert!(!cell.is_empty());
            prop_assert!(!formulas || !cell.starts_with(FORMULA));
            prop_assert_eq!(unmark(&cell, formulas), text);
        }

        #[test]
        fn joined_values_split_again(values in prop::collection::vec("[a|\\\\']{0,4}|.*", 1..5)) {
            prop_assert_eq!(split(&join(&values, '|'), '|'), values);
        }
    }
}

//! What makes two texts alike: how they are written down before they are compared, and how far apart they are.

use unicode_normalization::UnicodeNormalization;

use super::rule::Normalise;
use super::score::Score;

/// Characters of a text that are compared by likeness; longer ones are like nothing but themselves.
const FUZZY_CHARS_MAX: usize = 128;

/// A text as it is compared; empty: there is nothing to compare.
pub fn normalise(how: Normalise, text: &str) -> String {
    match how {
        Normalise::Exact => text.to_owned(),
        Normalise::Case => text.trim().to_lowercase(),
        Normalise::Fold => spaced(&text.nfkc().collect::<String>().to_lowercase()),
        Normalise::Letters => letters(text),
        Normalise::Digits => {
            deunicode::deunicode_with_tofu(text, "").chars().filter(char::is_ascii_digit).collect()
        }
    }
}

/// Words with one space between them.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Latin letters and digits in lower case; hyphens separate words like spaces, other marks are left out.
fn letters(text: &str) -> String {
    let plain = deunicode::deunicode_with_tofu(text, "").to_lowercase();
    let kept: String = plain
        .chars()
        .filter_map(|c| match c {
            c if c.is_ascii_alphanumeric() => Some(c),
            c if c.is_whitespace() || c == '-' || c == '_' => Some(' '),
            _ => None,
        })
        .collect();
    spaced(&kept)
}

/// `1 / (d + 1)`, where d is the number of characters to insert, remove or replace. Texts of more than 128 characters
/// are alike only when they are equal.
pub fn levenshtein(one: &str, other: &str) -> Score {
    if one == other {
        return Score::ONE;
    }
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len() > FUZZY_CHARS_MAX || other.len() > FUZZY_CHARS_MAX {
        return Score::ZERO;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, a) in one.iter().enumerate() {
        // The cell up and to the left, and the one to the left.
        let (mut corner, mut left) = (index, index + 1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(&other) {
            let cost = corner + usize::from(a != b);
            corner = *cell;
            left = cost.min(corner + 1).min(left + 1);
            *cell = left;
        }
    }
    Score::share(1, row.last().copied().unwrap_or_default() + 1)
}

/// The share of three-character pieces that both have, of those that either has; each word with two spaces before it
/// and one after. Texts of more than 128 characters are alike only when they are equal.
pub fn trigram(one: &str, other: &str) -> Score {
    if one == other {
        return Score::ONE;
    }
    let (one, other) = (pieces(one), pieces(other));
    let shared = one.iter().filter(|piece| other.binary_search(piece).is_ok()).count();
    Score::share(shared, one.len() + other.len() - shared)
}

/// Sorted, once each; none of a text that is too long.
fn pieces(text: &str) -> Vec<[char; 3]> {
    let mut pieces = Vec::new();
    if text.chars().count() > FUZZY_CHARS_MAX {
        return pieces;
    }
    for word in text.split_whitespace() {
        let mut window = [' ', ' ', ' '];
        for c in word.chars().chain([' ']) {
            let [_, second, third] = window;
            window = [second, third, c];
            pieces.push(window);
        }
    }
    pieces.sort_unstable();
    pieces.dedup();
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_as_they_are_written_down() {
        let cases = [
            (Normalise::Exact, " A  b ", " A  b "),
            (Normalise::Case, " A  b ", "a  b"),
            (Normalise::Fold, "\u{a0}Jos\u{65}\u{301}  ＳＭＩＴＨ ", "josé smith"),
            (Normalise::Letters, "Müller-Lüdenscheidt", "muller ludenscheidt"),
            (Normalise::Letters, "O’Brien, Zoë", "obrien zoe"),
            (Normalise::Letters, "王小明", "wang xiao ming"),
            (Normalise::Digits, "040206/1328", "0402061328"),
            (Normalise::Digits, "+49 (0) 30-12", "4903012"),
            (Normalise::Digits, "none", ""),
            (Normalise::Letters, " -' ", ""),
        ];
        for (how, text, expected) in cases {
            assert_eq!(normalise(how, text), expected, "{how:?} {text}");
        }
    }

    #[test]
    fn likeness_is_as_declared() {
        let levenshtein = |one, other| levenshtein(one, other).to_string();
        assert_eq!(levenshtein("smith", "smith"), "1");
        assert_eq!(levenshtein("smith", "smyth"), "0.5");
        assert_eq!(levenshtein("kitten", "sitting"), "0.25");
        assert_eq!(levenshtein("", "ab"), "0.333333");
        assert_eq!(levenshtein(&"a".repeat(129), "a"), "0");
        let trigram = |one, other| trigram(one, other).to_string();
        assert_eq!(trigram("word", "word"), "1");
        // 4 of 11 pieces: PostgreSQL says the same.
        assert_eq!(trigram("word", "two words"), "0.363636");
        assert_eq!(trigram("abc", "xyz"), "0");
        assert_eq!(trigram("", " "), "0");
    }
}

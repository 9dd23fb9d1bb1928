//! From any script to the letters of a login: never by guessing.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// `text` in ASCII letters by the conventions of a locale's language (`de`, `da`, `nb`, `sv`, ...).
///
/// `Err` with the character that has no reading of its own: Han, Kana and Hangul are read differently by person and
/// country, and a guessed reading would stay with that person for years.
pub(crate) fn ascii(text: &str, locale: Option<&str>) -> Result<String, char> {
    if text.is_ascii() {
        return Ok(text.to_owned());
    }
    let composed: String = text.nfc().collect();
    if let Some(c) = composed.chars().find(|c| unread(*c)) {
        return Err(c);
    }
    let language =
        locale.map(|locale| locale.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase());
    let mut out = String::with_capacity(composed.len());
    for c in composed.chars() {
        match language.as_deref().and_then(|language| override_of(language, c)) {
            Some(letters) => out.push_str(letters),
            None if c.is_ascii() => out.push(c),
            None => out.push_str(deunicode::deunicode_char(c).unwrap_or_default()),
        }
    }
    Ok(out)
}

/// Han, Hiragana, Katakana, Hangul, Bopomofo and Yi.
fn unread(c: char) -> bool {
    matches!(u32::from(c),
        0x1100..=0x11FF | 0x2E80..=0x2FDF | 0x3005..=0x3007 | 0x3021..=0x3029 | 0x3031..=0x30FF
        | 0x3105..=0x318F | 0x31A0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xA000..=0xA4CF
        | 0xA960..=0xA97F | 0xAC00..=0xD7FF | 0xF900..=0xFAFF | 0xFF66..=0xFFDC | 0x16FE0..=0x18DFF
        | 0x1AFF0..=0x1B16F | 0x20000..=0x3FFFF)
}

/// Letters that a language writes differently from the usual ASCII form.
fn override_of(language: &str, c: char) -> Option<&'static str> {
    Some(match (language, c) {
        ("de" | "fi" | "sv", 'ä') | ("da" | "nb" | "nn" | "no", 'æ') => "ae",
        ("de" | "fi" | "sv", 'Ä') | ("da" | "nb" | "nn" | "no", 'Æ') => "Ae",
        ("de" | "fi" | "sv", 'ö') | ("da" | "nb" | "nn" | "no", 'ø') => "oe",
        ("de" | "fi" | "sv", 'Ö') | ("da" | "nb" | "nn" | "no", 'Ø') => "Oe",
        ("de", 'ü') => "ue",
        ("de", 'Ü') => "Ue",
        ("da" | "nb" | "nn" | "no" | "sv" | "fi", 'å') => "aa",
        ("da" | "nb" | "nn" | "no" | "sv" | "fi", 'Å') => "Aa",
        _ => return None,
    })
}

/// A set of characters like `a-z0-9._-`; a `-` at an end stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letters(Vec<(char, char)>);

impl Letters {
    /// Reads the set; `None` for an empty one or a range that runs backwards.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let chars: Vec<char> = text.chars().collect();
        let mut ranges = Vec::new();
        let mut at = 0;
        while let Some(low) = chars.get(at).copied() {
            match (chars.get(at + 1), chars.get(at + 2)) {
                (Some('-'), Some(high)) => {
                    ranges.push((low, *high));
                    at += 3;
                }
                _ => {
                    ranges.push((low, low));
                    at += 1;
                }
            }
        }
        let good = !ranges.is_empty() && ranges.iter().all(|(low, high)| low <= high);
        good.then_some(Self(ranges))
    }

    /// True when the character belongs to the set.
    pub(crate) fn has(&self, c: char) -> bool {
        self.0.iter().any(|(low, high)| (*low..=*high).contains(&c))
    }

    /// Only the characters of the set.
    pub(crate) fn keep(&self, text: &str) -> String {
        text.chars().filter(|c| self.has(*c)).collect()
    }
}

/// True when each byte is a character as a reader counts them: the case of most names. A line end of two bytes is one.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii() && byte != b'\r')
}

/// The first `count` characters as a reader counts them.
pub(crate) fn left(text: &str, count: usize) -> &str {
    if is_plain(text) {
        return text.get(..count).unwrap_or(text);
    }
    let end = text.grapheme_indices(true).nth(count).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

/// The last `count` characters as a reader counts them.
pub(crate) fn right(text: &str, count: usize) -> &str {
    let start = match count {
        0 => text.len(),
        _ => text.grapheme_indices(true).rev().nth(count - 1).map_or(0, |(at, _)| at),
    };
    text.get(start..).unwrap_or(text)
}

/// What follows the first `count` characters as a reader counts them.
pub(crate) fn after(text: &str, count: usize) -> &str {
    text.get(left(text, count).len()..).unwrap_or_default()
}

/// As many whole characters, as a reader sees them, as fit into `count` bytes of UTF-8.
pub(super) fn left_bytes(text: &str, count: usize) -> &str {
    let fits = |(at, part): &(usize, &str)| at + part.len() <= count;
    let end = text.grapheme_indices(true).take_while(fits).last().map_or(0, |(at, part)| at + part.len());
    text.get(..end).unwrap_or_default()
}

/// Characters as a reader counts them.
pub(super) fn length(text: &str) -> usize {
    if is_plain(text) {
        return text.len();
    }
    text.graphemes(true).count()
}

/// The characters before the first `part`, as a reader counts them; `None` when it is not in the text.
pub(super) fn index_of(text: &str, part: &str) -> Option<usize> {
    text.split_once(part).map(|(before, _)| length(before))
}

/// The characters before the last `part`.
pub(super) fn last_index_of(text: &str, part: &str) -> Option<usize> {
    text.rsplit_once(part).map(|(before, _)| length(before))
}

/// True when a language writes i with a dot also as a capital.
fn dotted(locale: Option<&str>) -> bool {
    let language = locale.and_then(|locale| locale.split(['-', '_']).next()).unwrap_or_default();
    language.eq_ignore_ascii_case("tr") || language.eq_ignore_ascii_case("az")
}

/// In lower case, by the rules of a locale.
pub(super) fn lower(text: &str, locale: Option<&str>) -> String {
    match dotted(locale) {
        true => text.replace('I', "ı").replace('İ', "i").to_lowercase(),
        false => text.to_lowercase(),
    }
}

/// In upper case, by the rules of a locale.
pub(super) fn upper(text: &str, locale: Option<&str>) -> String {
    match dotted(locale) {
        true => text.replace('i', "İ").to_uppercase(),
        false => text.to_uppercase(),
    }
}

/// A form that is the same for texts that differ by case only: `STRASSE` and `Straße`.
pub(super) fn fold(text: &str) -> String {
    let unified = text.nfc().flat_map(|c| if c == 'ı' { vec![c] } else { c.to_uppercase().collect() });
    unified.flat_map(char::to_lowercase).nfc().collect()
}

/// Each word with a capital first and small letters after it; words end at characters of `between`.
pub(super) fn title_case(text: &str, between: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c| between.contains(c)) {
        let first = left(piece, 1);
        out.push_str(&first.to_uppercase());
        out.push_str(&after(piece, 1).to_lowercase());
    }
    out
}

/// Without accents and other marks that can be taken off a letter; ø and ł are letters of their own and stay.
pub(super) fn without_marks(text: &str) -> String {
    text.nfd().filter(|c| !unicode_normalization::char::is_combining_mark(*c)).nfc().collect()
}

/// `value` escaped as an attribute value of a distinguished name (RFC 4514, section 2.4).
pub(crate) fn rdn(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, c) in value.chars().enumerate() {
        let edge = (index == 0 && matches!(c, ' ' | '#')) || (index == last && c == ' ');
        match c {
            '\0' => out.push_str("\\00"),
            '\n' => out.push_str("\\0A"),
            '\r' => out.push_str("\\0D"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => {
                out.push('\\');
                out.push(c);
            }
            c if edge => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_reads_latin_and_cyrillic_and_never_guesses_han() {
        assert_eq!(ascii("Łukasz Żółć", None).as_deref(), Ok("Lukasz Zolc"));
        assert_eq!(ascii("Jéssica", None).as_deref(), Ok("Jessica"));
        assert_eq!(ascii("Müller", None).as_deref(), Ok("Muller"));
        assert_eq!(ascii("Mu\u{308}ller", Some("de-AT")).as_deref(), Ok("Mueller"));
        assert_eq!(ascii("Østergård", Some("da")).as_deref(), Ok("Oestergaard"));
        assert_eq!(ascii("Иванов", None).as_deref(), Ok("Ivanov"));
        assert_eq!(ascii("王小明", None), Err('王'));
        assert_eq!(ascii("김", None), Err('김'));
        assert_eq!(ascii("ｱｷﾗ", None), Err('ｱ'));
        assert_eq!(ascii("々", None), Err('々'));
    }

    #[test]
    fn letters_are_ranges_and_single_characters() {
        let letters = Letters::parse("a-z0-9._-").map(|letters| letters.keep("O'Neil-Nunez_7.x"));
        assert_eq!(letters.as_deref(), Some("eil-unez_7.x"));
        assert_eq!(Letters::parse("z-a"), None);
        assert_eq!(Letters::parse(""), None);
    }

    #[test]
    fn left_and_right_never_split_what_a_reader_sees_as_one() {
        assert_eq!(left("e\u{301}a", 1), "e\u{301}");
        assert_eq!(right("ae\u{301}", 1), "e\u{301}");
        assert_eq!((left("ab", 0), right("ab", 0), left("ab", 9), right("ab", 9)), ("", "", "ab", "ab"));
    }

    #[test]
    fn the_short_way_for_plain_text_counts_as_the_long_one() {
        for text in
            ["", "a", "abc def", "a\r\nb", "\r", "\n\r\n", "tab\t\u{1}", "Zo\u{308}e", "👩\u{200d}💻x"]
        {
            assert_eq!(length(text), text.graphemes(true).count(), "{text:?}");
            for count in 0..6 {
                let wanted: String = text.graphemes(true).take(count).collect();
                assert_eq!(left(text, count), wanted, "{text:?}");
            }
        }
    }

    #[test]
    fn rdn_leaves_nothing_that_could_end_the_name() {
        assert_eq!(rdn("Smith, John+OU=x"), "Smith\\, John\\+OU\\=x");
        assert_eq!(rdn(" #a "), "\\ #a\\ ");
        assert_eq!(rdn("#a\0b\n"), "\\#a\\00b\\0A");
    }
}

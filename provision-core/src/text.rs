//! Text that lies: values are escaped before they reach a terminal, a log line or a golden file.

/// `value` with control characters, line separators and bidirectional marks made visible as escapes.
///
/// Ordinary text of any script stays as it is, so that names remain readable.
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if hides(c) => {
                out.push_str("\\u{");
                out.push_str(&format!("{:x}", u32::from(c)));
                out.push('}');
            }
            c => out.push(c),
        }
    }
    out
}

/// Characters that change how the text around them is shown, or show nothing at all.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn escape_keeps_names_and_shows_what_hides() {
        assert_eq!(escape("Jéssica 王小明"), "Jéssica 王小明");
        assert_eq!(escape("a\u{202E}b\nc\u{1b}[31m\\"), "a\\u{202e}b\\nc\\u{1b}[31m\\\\");
    }
}

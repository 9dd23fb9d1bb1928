//! Refuses an expression that is too large, before any parser sees it.
//!
//! The parser recurses; these limits and the stack it runs on keep that recursion far from the end of the stack.

/// Longest expression, in bytes.
pub(super) const LENGTH_MAX: usize = 4096;
/// Deepest nesting of brackets.
pub(super) const DEPTH_MAX: usize = 32;
/// Most operators: selects, calls, commas, `?:`, indexes and the signs.
pub(super) const OPERATORS_MAX: usize = 64;

/// Why the expression is refused, and from which character on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excess {
    pub(super) at: usize,
    pub(super) what: String,
}

/// Counts what makes an expression expensive.
pub(super) fn scan(text: &str) -> Result<(), Excess> {
    if text.len() > LENGTH_MAX {
        return Err(Excess { at: 0, what: format!("the expression is longer than {LENGTH_MAX} bytes") });
    }
    let chars: Vec<char> = text.chars().collect();
    let (mut depth, mut operators, mut at) = (0_usize, 0_usize, 0_usize);
    let mut word_before = false;
    while let Some(c) = chars.get(at).copied() {
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        let start = at;
        at += 1;
        match c {
            '"' | '\'' => {
                at = string_end(&chars, start);
                word_before = false;
                continue;
            }
            '/' if next == '/' => {
                at += chars.iter().skip(at).position(|c| *c == '\n').unwrap_or(chars.len());
                continue;
            }
            '(' | '[' | '{' => {
                depth += 1;
                operators += usize::from(word_before || c != '(');
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '&' | '|' | '=' | '!' | '<' | '>' => {
                operators += 1;
                at += usize::from(matches!((c, next), ('&', '&') | ('|', '|') | (_, '=')));
            }
            '.' | ',' | '?' | '+' | '-' | '*' | '/' | '%' => operators += 1,
            _ => {}
        }
        if depth > DEPTH_MAX {
            let what = format!("the expression nests deeper than {DEPTH_MAX} levels");
            return Err(Excess { at: start, what });
        }
        if c.is_alphanumeric() || c == '_' {
            let word: String =
                chars.iter().skip(start).take_while(|c| c.is_alphanumeric() || **c == '_').collect();
            operators += usize::from(word == "in");
            at = start + word.chars().count();
            word_before = true;
        } else if !c.is_whitespace() {
            word_before = matches!(c, ')' | ']');
        }
        if operators > OPERATORS_MAX {
            let what = format!("the expression has more than {OPERATORS_MAX} operators, calls and commas");
            return Err(Excess { at: start, what });
        }
    }
    Ok(())
}

/// The character after the string that starts at `start`. Raw prefixes only mean fewer escapes: taking a backslash
/// for an escape there can end the string later than the parser does, never let operators inside it go uncounted
/// outside, because the parser then refuses the text or reads a shorter one; so the raw form is honoured.
fn string_end(chars: &[char], start: usize) -> usize {
    let quote = chars.get(start).copied().unwrap_or('"');
    let is = |at: usize| chars.get(at) == Some(&quote);
    let prefix = |back: usize| start.checked_sub(back).and_then(|at| chars.get(at)).copied().unwrap_or(' ');
    let raw =
        matches!(prefix(1), 'r' | 'R') || (matches!(prefix(1), 'b' | 'B') && matches!(prefix(2), 'r' | 'R'));
    let triple = is(start + 1) && is(start + 2);
    let mut at = start + if triple { 3 } else { 1 };
    while at < chars.len() {
        if !raw && chars.get(at) == Some(&'\\') {
            at += 2;
        } else if triple && is(at) && is(at + 1) && is(at + 2) {
            return at + 3;
        } else if !triple && is(at) {
            return at + 1;
        } else {
            at += 1;
        }
    }
    chars.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scan_counts_nesting_operators_and_length() {
        assert_eq!(scan("lower(user.a) + '((((((' + \"..,,\""), Ok(()));
        assert!(scan(&"(".repeat(DEPTH_MAX)).is_ok());
        assert_eq!(scan(&"(".repeat(DEPTH_MAX + 1)).map_err(|e| e.at), Err(DEPTH_MAX));
        assert!(scan(&vec!["a"; OPERATORS_MAX + 1].join("+")).is_ok());
        assert!(scan(&vec!["a"; OPERATORS_MAX + 2].join("+")).is_err());
        assert!(scan(&format!("a{}", "!".repeat(OPERATORS_MAX + 1))).is_err());
        assert!(scan(&"a in ".repeat(OPERATORS_MAX + 1)).is_err());
        assert!(scan(&"a".repeat(LENGTH_MAX + 1)).is_err());
        assert!(scan(&format!("r'\\'{}", "+a".repeat(OPERATORS_MAX + 1))).is_err());
    }
}

//! Rust text with the parts told apart: code, comments, literals.

/// What a character belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

/// A file's text three times, same length in lines: as it is, only code, only comments (the rest is blank).
pub(crate) struct SourceText {
    pub(crate) code: String,
    pub(crate) comments: String,
}

impl SourceText {
    pub(crate) fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let parts = parts(&chars);
        let only = |wanted: Part| {
            chars
                .iter()
                .zip(&parts)
                .map(|(&c, &part)| if part == wanted || c == '\n' { c } else { ' ' })
                .collect()
        };
        Self { code: only(Part::Code), comments: only(Part::Comment) }
    }

    /// The identifiers of the code, with their line numbers.
    pub(crate) fn identifiers(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (index, line) in self.code.lines().enumerate() {
            for word in line.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
                if word.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_') {
                    found.push((index + 1, word.to_owned()));
                }
            }
        }
        found
    }

    /// Functions with a body: (line, name, lines from `fn` to the closing brace).
    pub(crate) fn functions(&self) -> Vec<(usize, String, usize)> {
        let chars: Vec<char> = self.code.chars().collect();
        let mut found = Vec::new();
        let (mut at, mut line) = (0, 1);
        while at < chars.len() {
            if chars[at] == '\n' {
                line += 1;
            } else if word_at(&chars, at, "fn") {
                let name: String = chars[at + 2..]
                    .iter()
                    .skip_while(|c| c.is_whitespace())
                    .take_while(|c| c.is_alphanumeric() || **c == '_')
                    .collect();
                if !name.is_empty()
                    && let Some(lines) = body_lines(&chars, at)
                {
                    found.push((line, name, lines));
                }
            }
            at += 1;
        }
        found
    }
}

fn word_at(chars: &[char], at: usize, word: &str) -> bool {
    let inside = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let end = at + word.len();
    chars.get(at..end).is_some_and(|found| found.iter().copied().eq(word.chars()))
        && !inside(at.checked_sub(1).and_then(|before| chars.get(before)))
        && !inside(chars.get(end))
}

/// Lines from `at` to the end of the first body after it; `None` for a signature without one.
fn body_lines(chars: &[char], at: usize) -> Option<usize> {
    let (mut braces, mut brackets, mut lines) = (0_i32, 0_i32, 1);
    for &c in chars.get(at..)? {
        match c {
            '\n' => lines += 1,
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces == 0 && brackets == 0 {
                    return Some(lines);
                }
                if braces < 0 {
                    return None;
                }
            }
            _ => {}
        }
    }
    None
}

fn parts(chars: &[char]) -> Vec<Part> {
    let mut parts = vec![Part::Code; chars.len()];
    let mut at = 0;
    while at < chars.len() {
        let (part, end) = token(chars, at);
        for slot in &mut parts[at..end] {
            *slot = part;
        }
        at = end;
    }
    parts
}

/// What starts at `at`, and where it ends.
fn token(chars: &[char], at: usize) -> (Part, usize) {
    let next = chars.get(at + 1);
    match chars[at] {
        '/' if next == Some(&'/') => (Part::Comment, find(chars, at, |c| c == '\n')),
        '/' if next == Some(&'*') => (Part::Comment, block_comment(chars, at)),
        '"' => (Part::Literal, quoted(chars, at + 1, '"')),
        '\'' => match (next, chars.get(at + 2)) {
            (Some('\\'), _) => (Part::Literal, quoted(chars, at + 1, '\'')),
            (Some(_), Some('\'')) => (Part::Literal, at + 3),
            _ => (Part::Code, at + 1), // a lifetime
        },
        c if c.is_alphanumeric() || c == '_' => {
            let end = find(chars, at, |c| !(c.is_alphanumeric() || c == '_'));
            let word: String = chars[at..end].iter().collect();
            match raw_end(chars, &word, end) {
                Some(end) => (Part::Literal, end),
                None => (Part::Code, end),
            }
        }
        _ => (Part::Code, at + 1),
    }
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|c| wanted(*c)).map_or(chars.len(), |offset| from + offset)
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut end) = (0, at);
    while end < chars.len() {
        match (chars[end], chars.get(end + 1)) {
            ('/', Some('*')) => (depth, end) = (depth + 1, end + 2),
            ('*', Some('/')) => (depth, end) = (depth - 1, end + 2),
            _ => end += 1,
        }
        if depth == 0 {
            break;
        }
    }
    end.min(chars.len())
}

/// The end of a literal whose content starts at `from`.
fn quoted(chars: &[char], from: usize, quote: char) -> usize {
    let mut end = from;
    while end < chars.len() && chars[end] != quote {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}

/// The end of a raw literal whose prefix `word` ends at `end`: `r"..."`, `br#"..."#`.
fn raw_end(chars: &[char], word: &str, end: usize) -> Option<usize> {
    if !matches!(word, "r" | "br" | "cr") {
        return None;
    }
    let hashes = chars[end..].iter().take_while(|c| **c == '#').count();
    if chars.get(end + hashes) != Some(&'"') {
        return None;
    }
    let mut at = end + hashes + 1;
    while at < chars.len() {
        if chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(chars.len())
}

#[test]
fn strings_comments_and_lifetimes_are_told_apart() {
    let text =
        "fn f<'a>(x: &'a str) { // say \"todo\n let c = '\\''; let s = r#\"a \" } b\"#; /* { /* } */ */ }\n";
    let source = SourceText::of(text);
    assert_eq!(source.functions(), [(1, "f".to_owned(), 2)]);
    assert!(source.comments.contains("say \"todo"));
    assert!(!source.code.contains("say") && !source.code.contains("} b"));
}

#[test]
fn functions_are_measured_from_signature_to_brace() {
    let text =
        "trait T {\n fn no_body(&self, x: [u8; 2]);\n fn body(&self)\n where Self: Sized,\n {\n  {}\n }\n}\n";
    assert_eq!(SourceText::of(text).functions(), [(3, "body".to_owned(), 5)]);
    assert!(SourceText::of("type F = fn(u8) -> u8; struct S {}").functions().is_empty());
}

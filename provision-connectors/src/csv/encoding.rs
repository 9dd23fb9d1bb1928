//! Encodings: a file becomes UTF-8 as it is read, and never by guessing.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};
use serde::{Deserialize, Serialize};

/// How a file's text is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8, with or without byte order mark.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16 by its byte order mark; without one, little endian.
    #[serde(rename = "utf-16")]
    Utf16,
    /// Windows-1252, the Western European code page.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

const CHUNK: usize = 64 * 1024;

/// What the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Utf8,
    Utf16Le,
    Utf16Be,
    None,
}

/// A problem of the encoding as a whole: what is wrong, and the remedy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    pub(super) summary: &'static str,
    pub(super) remedy: &'static str,
}

/// Reads a file as UTF-8. UTF-8 itself passes as it is; the record reader checks it, where the line is known.
pub(super) struct Utf8Reader<R> {
    input: R,
    raw: Vec<u8>,
    raw_at: usize,
    out: Vec<u8>,
    out_at: usize,
    decoder: Option<Decoder>,
    ended: bool,
    malformed: bool,
}

impl<R: Read> Utf8Reader<R> {
    /// Looks at the first bytes and sets up the decoder. `declared` is `None` where the configuration is silent.
    pub(super) fn open(mut input: R, declared: Option<Encoding>) -> io::Result<Result<Self, Contradiction>> {
        let mut head = Vec::with_capacity(CHUNK);
        input.by_ref().take(4).read_to_end(&mut head)?;
        let (mark, mark_length) = match head.as_slice() {
            [0xEF, 0xBB, 0xBF, ..] => (Mark::Utf8, 3),
            [0xFF, 0xFE, ..] => (Mark::Utf16Le, 2),
            [0xFE, 0xFF, ..] => (Mark::Utf16Be, 2),
            _ => (Mark::None, 0),
        };
        let zeros = head.contains(&0);
        let decoder = match (declared, mark) {
            (None | Some(Encoding::Utf16), Mark::Utf16Le) => {
                Some(UTF_16LE.new_decoder_without_bom_handling())
            }
            (None | Some(Encoding::Utf16), Mark::Utf16Be) => {
                Some(UTF_16BE.new_decoder_without_bom_handling())
            }
            (None | Some(Encoding::Utf8), Mark::None) if zeros => {
                return Ok(Err(Contradiction {
                    summary: "the file starts with zero bytes, which UTF-8 text never has",
                    remedy: "declare `encoding: utf-16` if it is UTF-16 without byte order mark",
                }));
            }
            (None | Some(Encoding::Utf8), Mark::Utf8 | Mark::None) => None,
            (Some(Encoding::Utf16), Mark::None) if head.first() == Some(&0) => {
                Some(UTF_16BE.new_decoder_without_bom_handling())
            }
            (Some(Encoding::Utf16), Mark::None) => Some(UTF_16LE.new_decoder_without_bom_handling()),
            (Some(Encoding::Windows1252), Mark::None) => {
                Some(WINDOWS_1252.new_decoder_without_bom_handling())
            }
            (Some(_), Mark::Utf8) => {
                return Ok(Err(Contradiction {
                    summary: "the file starts with the byte order mark of UTF-8 and another encoding is declared",
                    remedy: "remove `encoding` from the source, or ask for the file in the declared encoding",
                }));
            }
            (Some(_), Mark::Utf16Le | Mark::Utf16Be) => {
                return Ok(Err(Contradiction {
                    summary: "the file starts with the byte order mark of UTF-16 and another encoding is declared",
                    remedy: "declare `encoding: utf-16`, or remove `encoding`",
                }));
            }
        };
        head.drain(..mark_length);
        let (raw, out) = if decoder.is_some() { (head, Vec::new()) } else { (Vec::new(), head) };
        Ok(Ok(Self { input, raw, raw_at: 0, out, out_at: 0, decoder, ended: false, malformed: false }))
    }

    /// The decoder met bytes that its encoding does not know; what was read ends before them.
    pub(super) fn malformed(&self) -> bool {
        self.malformed
    }

    fn refill(&mut self) -> io::Result<()> {
        let Some(decoder) = &mut self.decoder else {
            self.out.resize(CHUNK, 0);
            let read = read_some(&mut self.input, &mut self.out)?;
            self.out.truncate(read);
            self.out_at = 0;
            return Ok(());
        };
        self.out.resize(CHUNK, 0);
        self.out_at = 0;
        let mut written = 0;
        while written == 0 && !self.ended {
            if self.raw_at >= self.raw.len() {
                self.raw.resize(CHUNK, 0);
                let read = read_some(&mut self.input, &mut self.raw)?;
                self.raw.truncate(read);
                self.raw_at = 0;
            }
            let source = self.raw.get(self.raw_at..).unwrap_or_default();
            let last = source.is_empty();
            let (result, read, wrote) =
                decoder.decode_to_utf8_without_replacement(source, &mut self.out, last);
            self.raw_at += read;
            written = wrote;
            self.malformed = matches!(result, DecoderResult::Malformed(..));
            self.ended = self.malformed || (last && matches!(result, DecoderResult::InputEmpty));
        }
        self.out.truncate(written);
        Ok(())
    }
}

fn read_some(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let length = ready.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(ready) {
            *to = *from;
        }
        self.consume(length);
        Ok(length)
    }
}

impl<R: Read> BufRead for Utf8Reader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.out_at >= self.out.len() && !self.ended {
            self.refill()?;
        }
        Ok(self.out.get(self.out_at..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.out_at += amount;
    }
}

impl<R> std::fmt::Debug for Utf8Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Utf8Reader").field("transcodes", &self.decoder.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], declared: Option<Encoding>) -> (String, bool) {
        let mut reader = Utf8Reader::open(bytes, declared).unwrap().unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        (text, reader.malformed())
    }

    fn utf16(text: &str, mark: bool, big: bool) -> Vec<u8> {
        let units = mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "id,Núñez 😀\n".repeat(9000);
        let with_mark = [&b"\xEF\xBB\xBF"[..], text.as_bytes()].concat();
        let cases = [
            (text.clone().into_bytes(), None),
            (with_mark.clone(), None),
            (with_mark, Some(Encoding::Utf8)),
            (utf16(&text, true, false), None),
            (utf16(&text, true, true), None),
            (utf16(&text, true, true), Some(Encoding::Utf16)),
            (utf16(&text, false, false), Some(Encoding::Utf16)),
            (utf16(&text, false, true), Some(Encoding::Utf16)),
        ];
        for (bytes, declared) in cases {
            assert_eq!(decode(&bytes, declared), (text.clone(), false), "{declared:?}");
        }
        assert_eq!(decode(b"N\xFA\xF1ez \x80", Some(Encoding::Windows1252)).0, "Núñez €");
    }

    #[test]
    fn a_lone_surrogate_ends_the_text_and_is_told() {
        let mut bytes = utf16("ab", true, false);
        bytes.extend([0x00, 0xD8, 0x41, 0x00]);
        assert_eq!(decode(&bytes, None), ("ab".to_owned(), true));
    }

    #[test]
    fn contradictions_are_refused() {
        for (bytes, declared) in [
            (&b"\xEF\xBB\xBFid"[..], Some(Encoding::Windows1252)),
            (&b"\xFF\xFEi\0"[..], Some(Encoding::Utf8)),
            (&b"i\0d\0"[..], None),
        ] {
            assert!(Utf8Reader::open(bytes, declared).unwrap().is_err(), "{declared:?} {bytes:?}");
        }
    }
}

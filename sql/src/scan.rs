//! A text in pieces: what is quoted, what is comment, and the code between.
//!
//! Cutting these out first lets a splitter find the semicolons that count, and keeps from the
//! tokenizer what it would take for something else: `--` and `//` comments, `$$` strings, prefixed
//! strings (`X'..'`), blobs with a capital X, UUIDs and dates behind a P, of which it would make
//! subtractions.
//!
//! Callers: [`lex`](mod@crate::lex), [`split`](mod@crate::split). The pieces, joined, are the text.

use crate::Position;

/// What a [`Piece`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PieceKind {
    /// White space.
    Space,
    /// `-- …` and `// …` up to the end of the line, or `/* … */`.
    Comment,
    /// `'…'`.
    Text,
    /// `"…"`.
    Name,
    /// `$$…$$`.
    Dollar,
    /// `550e8400-e29b-41d4-a716-446655440000`.
    Uuid,
    /// `P0001-02-03T04:05:06`.
    Duration,
    /// `0x…`, with whatever letters and digits follow.
    Blob,
    /// `;`.
    Semicolon,
    /// Words, numbers and signs.
    Code,
}

/// A part of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) kind: PieceKind,
    pub(crate) text: &'a str,
    /// Where it begins.
    pub(crate) at: Position,
    /// Whether the end that the piece needs was there.
    pub(crate) is_closed: bool,
}

/// The pieces of `text`.
pub(crate) fn pieces(text: &str) -> Pieces<'_> {
    Pieces { rest: text, at: Position::START, is_in_word: false }
}

/// A walk over the pieces of a text; see [`pieces`].
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    rest: &'a str,
    at: Position,
    /// Whether the last piece ended in the middle of a word.
    is_in_word: bool,
}

/// Code longer than this is cut before the next bracket or comma, so that no piece of it makes many
/// tokens at once.
const CODE_BYTES: usize = 4_096;
const UUID_BYTES: usize = 36;

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.rest.as_bytes();
        let first = *bytes.first()?;
        let (kind, end) = match (first, bytes.get(1)) {
            (b'\'', _) => (PieceKind::Text, quoted_end(bytes, b'\'')),
            (b'"', _) => (PieceKind::Name, quoted_end(bytes, b'"')),
            (b';', _) => (PieceKind::Semicolon, Some(1)),
            (b'$', Some(b'$')) => (PieceKind::Dollar, end_after(self.rest, "$$")),
            (b'/', Some(b'*')) => (PieceKind::Comment, end_after(self.rest, "*/")),
            (b'-', Some(b'-')) | (b'/', Some(b'/')) => {
                let len = self.rest.find('\n').unwrap_or(self.rest.len());
                (PieceKind::Comment, Some(len))
            }
            _ if is_space(first) => {
                (PieceKind::Space, Some(bytes.iter().take_while(|byte| is_space(**byte)).count()))
            }
            _ if !self.is_in_word && is_uuid(bytes) => (PieceKind::Uuid, Some(UUID_BYTES)),
            _ if !self.is_in_word && is_duration(bytes) => {
                (PieceKind::Duration, Some(DURATION.len()))
            }
            _ if !self.is_in_word && is_blob(bytes) => {
                (PieceKind::Blob, Some(bytes.iter().take_while(|byte| is_word(**byte)).count()))
            }
            _ => (PieceKind::Code, Some(self.code_end())),
        };
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let piece = Piece { kind, text, at: self.at, is_closed: end.is_some() };
        self.at = self.at.after(text);
        self.rest = rest;
        self.is_in_word = kind == PieceKind::Code && text.bytes().next_back().is_some_and(is_word);
        Some(piece)
    }
}

impl Pieces<'_> {
    /// Where code ends that stands at the front, at least one character of it.
    fn code_end(&self) -> usize {
        let bytes = self.rest.as_bytes();
        let mut is_in_word = self.is_in_word;
        for (at, byte) in bytes.iter().copied().enumerate() {
            if at > 0 && self.rest.is_char_boundary(at) {
                let rest = &bytes[at..];
                let begins_other = matches!(byte, b'\'' | b'"' | b';' | b'$') || is_space(byte);
                let begins_comment =
                    [&b"--"[..], b"//", b"/*"].iter().any(|it| rest.starts_with(it));
                let begins_value =
                    !is_in_word && (is_uuid(rest) || is_blob(rest) || is_duration(rest));
                let is_cut = at >= CODE_BYTES && matches!(byte, b',' | b'(' | b')' | b'[' | b'{');
                if begins_other || begins_comment || begins_value || is_cut {
                    return at;
                }
            }
            is_in_word = is_word(byte);
        }
        bytes.len()
    }
}

/// The end of a quotation that begins at the front; a doubled quote stands for one.
fn quoted_end(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        at += bytes[at..].iter().position(|byte| *byte == quote)? + 1;
        if bytes.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// The end of what begins with two characters and runs to `mark`.
fn end_after(text: &str, mark: &str) -> Option<usize> {
    Some(text[2..].find(mark)? + 2 + mark.len())
}

fn is_uuid(bytes: &[u8]) -> bool {
    let Some((uuid, rest)) = bytes.split_at_checked(UUID_BYTES) else { return false };
    let is_hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    // The first hyphen alone tells most words apart.
    uuid[8] == b'-'
        && !rest.first().copied().is_some_and(is_word)
        && uuid
            .iter()
            .enumerate()
            .all(|(at, byte)| if is_hyphen(at) { *byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// The form of a duration that is a date and a time; 0 stands for a digit.
const DURATION: &[u8] = b"P0000-00-00T00:00:00";

fn is_duration(bytes: &[u8]) -> bool {
    let Some((text, rest)) = bytes.split_at_checked(DURATION.len()) else { return false };
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        sign => byte.eq_ignore_ascii_case(sign),
    };
    !rest.first().copied().is_some_and(is_word) && text.iter().zip(DURATION).all(fits)
}

fn is_blob(bytes: &[u8]) -> bool {
    matches!(bytes, [b'0', b'x' | b'X', ..])
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0C)
}

#[cfg(test)]
mod tests {
    use super::*;
    use PieceKind::{Blob, Code, Comment, Dollar, Duration, Name, Semicolon, Space, Text, Uuid};
    use proptest::prelude::*;

    fn cut(text: &str) -> Vec<(PieceKind, &str)> {
        pieces(text).map(|piece| (piece.kind, piece.text)).collect()
    }

    #[test]
    fn quotations_comments_and_values_are_cut_out() {
        let uuid = "550e8400-e29b-41d4-a716-446655440000";
        assert_eq!(cut("a='it''s'"), [(Code, "a="), (Text, "'it''s'")]);
        assert_eq!(cut("\"Q\"\"n\".x"), [(Name, "\"Q\"\"n\""), (Code, ".x")]);
        assert_eq!(cut("$$ ; ' $$;"), [(Dollar, "$$ ; ' $$"), (Semicolon, ";")]);
        assert_eq!(cut("1--2\n3"), [(Code, "1"), (Comment, "--2"), (Space, "\n"), (Code, "3")]);
        assert_eq!(cut("//;'\n"), [(Comment, "//;'"), (Space, "\n")]);
        assert_eq!(cut("a/*;*/b"), [(Code, "a"), (Comment, "/*;*/"), (Code, "b")]);
        assert_eq!(cut(&format!("({uuid},")), [(Code, "("), (Uuid, uuid), (Code, ",")]);
        assert_eq!(cut("0XaB,0x"), [(Blob, "0XaB"), (Code, ","), (Blob, "0x")]);
        assert_eq!(cut("X'ab'"), [(Code, "X"), (Text, "'ab'")]);
        let duration = "P0001-02-03T04:05:06";
        assert_eq!(
            cut(&format!("(-{duration},")),
            [(Code, "(-"), (Duration, duration), (Code, ",")]
        );
    }

    #[test]
    fn parts_of_words_are_not_values() {
        let uuid = "550e8400-e29b-41d4-a716-446655440000";
        let long = format!("{uuid}0");
        assert_eq!(cut(&long), [(Code, &long[..])]);
        let word = format!("x{uuid}");
        assert_eq!(cut(&word), [(Code, &word[..])]);
        assert_eq!(cut("a0x1"), [(Code, "a0x1")]);
        for word in ["xP0001-02-03T04:05:06", "P0001-02-03T04:05:067"] {
            assert_eq!(cut(word), [(Code, word)]);
        }
    }

    #[test]
    fn open_pieces_say_so() {
        for text in ["'a''", "\"a", "$$a$", "/* a *"] {
            let open = pieces(text).last().unwrap();
            assert!(!open.is_closed && open.text == text, "{open:?}");
        }
        assert!(pieces("-- a").last().unwrap().is_closed);
    }

    #[test]
    fn long_code_is_cut_between_words() {
        let text = "ab,".repeat(5_000);
        let pieces: Vec<_> = pieces(&text).collect();
        assert!(pieces.iter().all(|piece| piece.text.len() < CODE_BYTES + 4), "{}", pieces.len());
        assert!(pieces[1..].iter().all(|piece| piece.text.starts_with(',')));
    }

    proptest! {
        #[test]
        fn pieces_joined_are_the_text(text in "([ \n;'\"$/*\\-a0xé,]|--|\\$\\$|/\\*){0,40}") {
            let mut at = Position::START;
            let mut joined = String::new();
            for piece in pieces(&text) {
                prop_assert!(!piece.text.is_empty());
                prop_assert_eq!(piece.at, at);
                at = at.after(piece.text);
                joined.push_str(piece.text);
            }
            prop_assert_eq!(joined, text);
        }
    }
}

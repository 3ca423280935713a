//! Texts as tokens of sqlparser, without space and comments.
//!
//! The tokenizer of sqlparser, under a dialect of our own, reads words, numbers and signs. What it
//! would misread is cut out before ([`scan`](crate::scan)) and becomes a token here:
//!
//! ```text
//! 'a', $$a$$   SingleQuotedString     "A"    Word, with its quote
//! 0xAB, 0XAB   HexStringLiteral       uuid   DollarQuotedString, tagged
//! P0001-02-03T04:05:06                DollarQuotedString, tagged
//! ```
//!
//! Callers: [`parser`](crate::parser). The last token is always `EOF`, at the end of the text.

use sqlparser::ast::DollarQuotedString;
use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use crate::scan::{Piece, PieceKind, pieces};
use crate::{Position, STATEMENT_BYTES_MAX, SyntaxError};

/// How many tokens one statement may have: enough for the most markers that the protocol can count, each
/// with a comma. A token takes about a hundred bytes of memory.
const TOKENS_MAX: usize = 1 << 18;
/// How long one run of words, numbers and signs without a space, bracket or comma may be.
const CODE_BYTES_MAX: usize = 1 << 16;
/// The tag of a UUID. Code never holds a `$` that could make another token with a tag.
const UUID_TAG: &str = "uuid";
/// The tag of a duration that the tokenizer would take apart.
const DURATION_TAG: &str = "duration";

/// What CQL calls a word. Everything else that dialects may vary stays at sqlparser's defaults.
#[derive(Debug)]
pub(crate) struct Cql;

impl Dialect for Cql {
    fn is_identifier_start(&self, char: char) -> bool {
        char.is_ascii_alphabetic()
    }

    fn is_identifier_part(&self, char: char) -> bool {
        char.is_ascii_alphanumeric() || char == '_'
    }
}

/// The tokens of a statement.
pub(crate) fn lex(text: &str) -> Result<Vec<TokenWithSpan>, SyntaxError> {
    if text.len() > STATEMENT_BYTES_MAX {
        let expected = format!("a statement of at most {STATEMENT_BYTES_MAX} bytes");
        return Err(SyntaxError::new(Position::START, expected, format!("{} bytes", text.len())));
    }
    let mut tokens = Vec::new();
    let mut end = Position::START;
    for piece in pieces(text) {
        end = piece.at.after(piece.text);
        if !piece.is_closed {
            let expected = format!("the end of {}", quotation(piece.kind));
            return Err(SyntaxError::new(piece.at, expected, "end of text"));
        }
        push(piece, end, &mut tokens)?;
        if tokens.len() > TOKENS_MAX {
            let expected = format!("a statement of at most {TOKENS_MAX} words and signs");
            return Err(SyntaxError::new(end, expected, "more"));
        }
    }
    tokens.push(TokenWithSpan::at(Token::EOF, location(end), location(end)));
    Ok(tokens)
}

/// The text of a token that stands for a UUID.
pub(crate) fn uuid_of(token: &Token) -> Option<&str> {
    tagged(token, UUID_TAG)
}

/// The text of a token that stands for a duration of the form `P0001-02-03T04:05:06`.
pub(crate) fn duration_of(token: &Token) -> Option<&str> {
    tagged(token, DURATION_TAG)
}

fn tagged<'a>(token: &'a Token, wanted: &str) -> Option<&'a str> {
    match token {
        Token::DollarQuotedString(DollarQuotedString { value, tag: Some(tag) })
            if tag == wanted =>
        {
            Some(value)
        }
        _ => None,
    }
}

fn push(
    piece: Piece<'_>,
    end: Position,
    tokens: &mut Vec<TokenWithSpan>,
) -> Result<(), SyntaxError> {
    let text = piece.text;
    let token = match piece.kind {
        PieceKind::Space | PieceKind::Comment => return Ok(()),
        PieceKind::Code => return push_code(piece, tokens),
        PieceKind::Semicolon => Token::SemiColon,
        PieceKind::Text => Token::SingleQuotedString(unquoted(text, '\'')),
        PieceKind::Dollar => Token::SingleQuotedString(text[2..text.len() - 2].to_owned()),
        PieceKind::Name => quoted_name(piece)?,
        PieceKind::Blob => blob(piece)?,
        PieceKind::Uuid => with_tag(text, UUID_TAG),
        PieceKind::Duration => with_tag(text, DURATION_TAG),
    };
    tokens.push(TokenWithSpan::at(token, location(piece.at), location(end)));
    Ok(())
}

fn with_tag(text: &str, tag: &str) -> Token {
    Token::DollarQuotedString(DollarQuotedString {
        value: text.to_owned(),
        tag: Some(tag.to_owned()),
    })
}

fn push_code(piece: Piece<'_>, tokens: &mut Vec<TokenWithSpan>) -> Result<(), SyntaxError> {
    if piece.text.len() > CODE_BYTES_MAX {
        let expected = format!("a word of at most {CODE_BYTES_MAX} bytes");
        return Err(SyntaxError::new(piece.at, expected, format!("{} bytes", piece.text.len())));
    }
    let outward = |inner: Location| location(piece.at.outward(position(inner)));
    let mut code = Vec::new();
    Tokenizer::new(&Cql, piece.text).tokenize_with_location_into_buf(&mut code).map_err(
        |error| {
            let at = position(outward(error.location));
            SyntaxError::new(at, "a word, a number or a sign", error.message)
        },
    )?;
    for TokenWithSpan { token, span } in code {
        let (start, end) = (outward(span.start), outward(span.end));
        // Two signs that no grammar of ours joins.
        let (token, count) = match token {
            Token::ShiftRight => (Token::Gt, 2),
            Token::DoubleColon => (Token::Colon, 2),
            // The tokenizer takes other scripts' white space for ours.
            Token::Whitespace(space) => {
                let found = format!("{:?}", space.to_string());
                return Err(SyntaxError::new(position(start), "a word, a number or a sign", found));
            }
            token => (token, 1),
        };
        tokens.extend(std::iter::repeat_n(TokenWithSpan::at(token, start, end), count));
    }
    Ok(())
}

fn quoted_name(piece: Piece<'_>) -> Result<Token, SyntaxError> {
    let value = unquoted(piece.text, '"');
    if value.is_empty() {
        return Err(SyntaxError::new(piece.at, "a name between the quotes", "`\"\"`"));
    }
    let keyword = sqlparser::keywords::Keyword::NoKeyword;
    Ok(Token::Word(Word { value, quote_style: Some('"'), keyword }))
}

fn blob(piece: Piece<'_>) -> Result<Token, SyntaxError> {
    let digits = &piece.text[2..];
    if digits.len() % 2 == 1 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let expected = "an even number of hexadecimal digits after 0x";
        return Err(SyntaxError::new(piece.at, expected, shown(piece.text)));
    }
    Ok(Token::HexStringLiteral(digits.to_owned()))
}

/// A quotation without its quotes, doubled ones made single.
fn unquoted(text: &str, quote: char) -> String {
    let quote = String::from(quote);
    text[1..text.len() - 1].replace(&quote.repeat(2), &quote)
}

fn quotation(kind: PieceKind) -> &'static str {
    match kind {
        PieceKind::Text => "a text in single quotes",
        PieceKind::Name => "a name in double quotes",
        PieceKind::Dollar => "a text between `$$`",
        _ => "a comment",
    }
}

/// What an error shows of a text: its beginning.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    let mut begin: String = text.chars().take(SHOWN_MAX).collect();
    if begin.len() < text.len() {
        begin.push('…');
    }
    format!("`{begin}`")
}

/// sqlparser's place as ours.
pub(crate) fn position(Location { line, column }: Location) -> Position {
    // A text of at most a mebibyte has fewer lines and columns.
    let bounded = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: bounded(line), column: bounded(column) }
}

fn location(Position { line, column }: Position) -> Location {
    Location { line: line.into(), column: column.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        lex(text).unwrap().into_iter().map(|token| token.token).collect()
    }

    fn refusal(text: &str) -> String {
        lex(text).unwrap_err().to_string()
    }

    #[test]
    fn what_the_tokenizer_would_misread_is_read_rightly() {
        let text = |text: &str| Token::SingleQuotedString(text.to_owned());
        let number = |digits: &str| Token::Number(digits.to_owned(), false);
        assert_eq!(tokens("'it''s'"), [text("it's"), Token::EOF]);
        assert_eq!(tokens("$$it's$$"), [text("it's"), Token::EOF]);
        assert_eq!(tokens("1//2\n3"), [number("1"), number("3"), Token::EOF]);
        assert_eq!(tokens("0XaB"), [Token::HexStringLiteral("aB".to_owned()), Token::EOF]);
        assert_eq!(tokens("1.5e-09"), [number("1.5e-09"), Token::EOF]);
        assert_eq!(
            tokens(">>::")[..],
            [Token::Gt, Token::Gt, Token::Colon, Token::Colon, Token::EOF]
        );
        assert_eq!(tokens("\"A\"\"b\"")[0].to_string(), "\"A\"b\"");
        let uuid = "12345678-1234-1234-1234-123456789012";
        assert_eq!(uuid_of(&tokens(uuid)[0]), Some(uuid));
        assert_eq!(tokens("X'ab'").len(), 3);
    }

    #[test]
    fn tokens_know_their_places() {
        let places: Vec<_> = lex("a=\n 'é' --\n,\"B\"")
            .unwrap()
            .iter()
            .map(|token| position(token.span.start).to_string())
            .collect();
        assert_eq!(places, ["1:1", "1:2", "2:2", "3:1", "3:2", "3:5"]);
    }

    #[test]
    fn texts_that_are_no_tokens_are_refused() {
        for (text, error) in [
            ("a 'b", "line 1:3: expected the end of a text in single quotes, found end of text"),
            ("\n\"b", "line 2:1: expected the end of a name in double quotes, found end of text"),
            ("/*", "line 1:1: expected the end of a comment, found end of text"),
            ("$$a$", "line 1:1: expected the end of a text between `$$`, found end of text"),
            (
                "0x123",
                "line 1:1: expected an even number of hexadecimal digits after 0x, found `0x123`",
            ),
            (
                "0xfg",
                "line 1:1: expected an even number of hexadecimal digits after 0x, found `0xfg`",
            ),
            ("\"\"", "line 1:1: expected a name between the quotes, found `\"\"`"),
            ("a\u{A0}b", "line 1:2: expected a word, a number or a sign, found \" \""),
        ] {
            assert_eq!(refusal(text), error);
        }
        assert!(refusal(&"(".repeat(1_000_000)).contains("at most 262144 words and signs"));
        assert!(refusal(&"1L".repeat(500_000)).contains("a word of at most 65536 bytes"));
        assert!(refusal(&" ".repeat(STATEMENT_BYTES_MAX + 1)).contains("at most 1048576 bytes"));
    }

    #[test]
    fn a_dollar_never_makes_a_uuid() {
        for token in tokens("$uuid$a$uuid$ $duration$a$duration$ $1 $") {
            assert_eq!(uuid_of(&token).or(duration_of(&token)), None);
        }
    }
}

//! Literals, terms and types.

use std::str::FromStr;

use bytes::Bytes;
use sqlparser::tokenizer::Token;
use types::{CqlType, Value};
use uuid::Uuid;

use super::Parser;
use crate::lex::{duration_of, shown, uuid_of};
use crate::words::is_reserved;
use crate::{Literal, Marker, Name, Qualified, SyntaxError, Term, TermKind, TypeName};

impl Parser {
    /// What gives a value.
    pub(super) fn term(&mut self) -> Result<Term, SyntaxError> {
        self.nested(Self::term_here)
    }

    fn term_here(&mut self) -> Result<Term, SyntaxError> {
        let at = self.position().into();
        let kind = match self.peek() {
            Token::Placeholder(_) | Token::Colon => TermKind::Marker(self.marker()?),
            Token::LBracket => {
                self.advance();
                TermKind::List(self.list_until(&Token::RBracket, Self::term)?)
            }
            Token::LBrace => {
                self.advance();
                self.braces()?
            }
            Token::LParen if self.is_hint() => {
                self.advance();
                let kind = self.type_name()?;
                self.expect(&Token::RParen)?;
                TermKind::Hinted { kind, term: Box::new(self.term()?) }
            }
            Token::LParen => TermKind::Tuple(self.parenthesised(Self::term)?),
            _ => match self.literal()? {
                Some(literal) => TermKind::Literal(literal),
                None => self.call()?,
            },
        };
        Ok(Term { kind, at })
    }

    /// A bind marker.
    pub(super) fn marker(&mut self) -> Result<Marker, SyntaxError> {
        let Some(next) = self.markers.checked_add(1) else {
            return self.refuse(format!("at most {} bind markers", u16::MAX));
        };
        let name = match self.peek() {
            Token::Placeholder(sign) if sign == "?" => {
                self.advance();
                None
            }
            Token::Colon => {
                self.advance();
                Some(self.name("the name of a bind marker")?)
            }
            _ => return self.refuse("a bind marker `?` or `:name`"),
        };
        let index = std::mem::replace(&mut self.markers, next);
        Ok(Marker { name, index })
    }

    /// An integer or a bind marker: the operand of TTL, TIMESTAMP and LIMIT.
    pub(super) fn integer_or_marker(&mut self) -> Result<Term, SyntaxError> {
        let at = self.position().into();
        if matches!(self.peek(), Token::Placeholder(_) | Token::Colon) {
            return Ok(Term { kind: TermKind::Marker(self.marker()?), at });
        }
        let start = self.index();
        match self.literal()? {
            Some(literal @ Literal::Integer(_)) => {
                Ok(Term { kind: TermKind::Literal(literal), at })
            }
            _ => self.refuse_since(start, "an integer or a bind marker"),
        }
    }

    /// A constant, if one comes next.
    pub(super) fn literal(&mut self) -> Result<Option<Literal>, SyntaxError> {
        let literal = match self.peek() {
            Token::SingleQuotedString(text) => Literal::Text(text.clone()),
            Token::HexStringLiteral(_) => Literal::Blob(self.blob()?),
            Token::Number(..) => return self.number("").map(Some),
            Token::Minus => {
                self.advance();
                return self.number("-").map(Some);
            }
            Token::Word(word) if word.quote_style.is_none() => match constant(&word.value) {
                Some(literal) => literal,
                None if is_duration(&word.value) && *self.peek_nth(1) != Token::LParen => {
                    Literal::Duration(word.value.clone())
                }
                None => return Ok(None),
            },
            other => match (uuid_of(other), duration_of(other)) {
                (Some(text), _) => Literal::Uuid(self.uuid(text)?),
                (_, Some(text)) => Literal::Duration(text.to_owned()),
                _ => return Ok(None),
            },
        };
        self.advance();
        Ok(Some(literal))
    }

    fn number(&mut self, sign: &str) -> Result<Literal, SyntaxError> {
        let literal = match self.peek() {
            Token::Word(word) => match constant(&word.value) {
                Some(Literal::Float(name)) => Literal::Float(format!("{sign}{name}")),
                None if is_duration(&format!("{sign}{}", word.value)) => {
                    Literal::Duration(format!("{sign}{}", word.value))
                }
                _ => return self.refuse("a number after `-`"),
            },
            // A unit at once after the digits makes a duration.
            Token::Number(digits, is_long) if *is_long || self.has_unit() => {
                let suffix = if *is_long { "L" } else { "" };
                let (at, mut text) = (self.position(), format!("{digits}{suffix}"));
                while self.has_unit() {
                    self.advance();
                    text.push_str(&self.peek().to_string());
                }
                let duration = format!("{sign}{text}");
                if !is_duration(&duration) {
                    return Err(SyntaxError::new(at, "a number or a duration", shown(&text)));
                }
                Literal::Duration(duration)
            }
            Token::Number(digits, _) => {
                let digits = format!("{sign}{digits}");
                let is_float = digits.contains(['.', 'e', 'E']);
                if is_float { Literal::Float(digits) } else { Literal::Integer(digits) }
            }
            other => match duration_of(other) {
                Some(text) => Literal::Duration(format!("{sign}{text}")),
                None => return self.refuse("a number after `-`"),
            },
        };
        self.advance();
        Ok(literal)
    }

    /// Whether a word follows the next token without a space between them, as a unit does.
    fn has_unit(&self) -> bool {
        matches!(self.peek_nth(1), Token::Word(_) | Token::Char(_)) && self.is_joined(0)
    }

    fn blob(&self) -> Result<Bytes, SyntaxError> {
        let Token::HexStringLiteral(digits) = self.peek() else { return self.refuse("a blob") };
        match Value::parse(&CqlType::Blob, &format!("0x{digits}")) {
            Ok(Value::Blob(bytes)) => Ok(bytes),
            _ => self.refuse("a blob"),
        }
    }

    fn uuid(&self, text: &str) -> Result<Uuid, SyntaxError> {
        Uuid::try_parse(text).or_else(|_| self.refuse("a uuid"))
    }

    /// A set, map or value with fields, after its opening brace.
    fn braces(&mut self) -> Result<TermKind, SyntaxError> {
        if self.takes(&Token::RBrace) {
            return Ok(TermKind::Set(Vec::new()));
        }
        if self.is_name() && *self.peek_nth(1) == Token::Colon {
            let fields = self.list_until(&Token::RBrace, |parser| {
                let name = parser.name("the name of a field")?;
                parser.expect(&Token::Colon)?;
                Ok((name, parser.term()?))
            })?;
            return Ok(TermKind::Fields(fields));
        }
        let first = self.term()?;
        if !self.takes(&Token::Colon) {
            return self.rest_until(&Token::RBrace, first, Self::term).map(TermKind::Set);
        }
        let first = (first, self.term()?);
        let pairs = self.rest_until(&Token::RBrace, first, |parser| {
            let key = parser.term()?;
            parser.expect(&Token::Colon)?;
            Ok((key, parser.term()?))
        })?;
        Ok(TermKind::Map(pairs))
    }

    fn call(&mut self) -> Result<TermKind, SyntaxError> {
        if !self.is_call() {
            return self.refuse("a value");
        }
        let function = self.function()?;
        self.expect(&Token::LParen)?;
        let arguments = self.list_until(&Token::RParen, Self::term)?;
        Ok(TermKind::Call { function, arguments })
    }

    /// Whether a function's name and an opening parenthesis come next.
    pub(super) fn is_call(&self) -> bool {
        let is_plain = self.is_name() || self.is_word(0, "TOKEN");
        let is_word = |n: usize| matches!(self.peek_nth(n), Token::Word(_));
        is_plain && *self.peek_nth(1) == Token::LParen
            || self.is_name()
                && *self.peek_nth(1) == Token::Period
                && is_word(2)
                && *self.peek_nth(3) == Token::LParen
    }

    /// The name of a function; `token` is one although the word is reserved.
    pub(super) fn function(&mut self) -> Result<Qualified, SyntaxError> {
        let at = self.position().into();
        if self.takes_word("TOKEN") {
            let name = Name { text: "token".to_owned(), at };
            return Ok(Qualified { keyspace: None, name });
        }
        self.qualified("a function")
    }

    /// Whether a name comes next.
    pub(super) fn is_name(&self) -> bool {
        matches!(self.peek(), Token::Word(word)
            if word.quote_style.is_some() || !is_reserved(&word.value))
    }

    /// Whether a type in parentheses comes next, rather than a tuple.
    fn is_hint(&self) -> bool {
        let is_type = matches!(self.peek_nth(1), Token::Word(word)
            if word.quote_style.is_some() || constant(&word.value).is_none());
        is_type && matches!(self.peek_nth(2), Token::RParen | Token::Lt)
    }

    /// A type.
    pub(super) fn type_name(&mut self) -> Result<TypeName, SyntaxError> {
        let at = self.position().into();
        let text = self.type_text()?;
        Ok(match CqlType::from_str(&text) {
            Ok(kind) => TypeName::Known(kind),
            Err(_) => TypeName::Other { text, at },
        })
    }

    fn type_text(&mut self) -> Result<String, SyntaxError> {
        self.nested(|parser| {
            if let Token::SingleQuotedString(class) = parser.peek() {
                let class = Literal::Text(class.clone()).to_string();
                parser.advance();
                return Ok(class);
            }
            let mut text = parser.type_word()?;
            if parser.takes(&Token::Period) {
                text = format!("{text}.{}", parser.type_word()?);
            }
            if parser.takes(&Token::Lt) {
                let arguments = parser.list(Self::type_argument)?;
                if !parser.takes(&Token::Gt) {
                    return parser.refuse("`,` or `>`");
                }
                text = format!("{text}<{}>", arguments.join(", "));
            }
            Ok(text)
        })
    }

    /// The name of a type; `set` is one although the word is reserved.
    fn type_word(&mut self) -> Result<String, SyntaxError> {
        if self.takes_word("SET") {
            return Ok("set".to_owned());
        }
        Ok(self.name("a type")?.to_string())
    }

    /// A type, or the length of a vector.
    fn type_argument(&mut self) -> Result<String, SyntaxError> {
        if let Token::Number(digits, false) = self.peek() {
            let digits = digits.clone();
            self.advance();
            return Ok(digits);
        }
        self.type_text()
    }
}

/// The constant that a word is.
fn constant(word: &str) -> Option<Literal> {
    Some(match &*word.to_ascii_lowercase() {
        "null" => Literal::Null,
        "true" => Literal::Boolean(true),
        "false" => Literal::Boolean(false),
        "nan" => Literal::Float("NaN".to_owned()),
        "infinity" => Literal::Float("Infinity".to_owned()),
        _ => return None,
    })
}

/// Whether a word is a duration: amounts with units, or ISO 8601.
fn is_duration(word: &str) -> bool {
    Value::parse(&CqlType::Duration, word).is_ok()
}

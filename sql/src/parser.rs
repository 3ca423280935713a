//! The grammar: tokens to a tree, by recursive descent.
//!
//! The cursor over the tokens is sqlparser's; the rules are our own, for of CQL's statements it knows
//! few. Words mean something only where the grammar asks for them, so nearly every word is a name.
//! One file per group of rules: [`definition`] the schema, [`query`] the data, [`clause`] and [`term`]
//! what they are made of.

mod clause;
mod definition;
mod query;
#[cfg(test)]
mod strategy;
mod term;
#[cfg(test)]
mod tests;

use sqlparser::parser::Parser as Tokens;
use sqlparser::tokenizer::Token;

use crate::lex::{Cql, lex, position, shown, uuid_of};
use crate::words::is_reserved;
use crate::{Name, Position, Qualified, Statement, SyntaxError};

/// How deep terms, types and selectors may be nested.
pub const DEPTH_MAX: usize = 64;

/// Reads one statement, with or without semicolons at its end.
///
/// Cost: about five microseconds for a short one; memory grows with the text, some two hundred bytes
/// for each word and sign.
///
/// # Errors
/// A [`SyntaxError`] at the first place where no statement goes on.
pub fn parse(text: &str) -> Result<Statement, SyntaxError> {
    let mut parser = Parser::new(text)?;
    let statement = parser.statement(text)?;
    while parser.takes(&Token::SemiColon) {}
    match parser.peek() {
        Token::EOF => Ok(statement),
        _ => parser.refuse("the end of the statement"),
    }
}

/// Statements that are known by their first words only, and what to call them.
const UNSUPPORTED: &[(&[&str], &str)] = &[
    (&["ADD", "IDENTITY"], "ADD IDENTITY"),
    (&["ALTER", "MATERIALIZED", "VIEW"], "ALTER MATERIALIZED VIEW"),
    (&["ALTER", "ROLE"], "ALTER ROLE"),
    (&["ALTER", "TYPE"], "ALTER TYPE"),
    (&["ALTER", "USER"], "ALTER USER"),
    (&["CREATE", "AGGREGATE"], "CREATE AGGREGATE"),
    (&["CREATE", "CUSTOM", "INDEX"], "CREATE INDEX"),
    (&["CREATE", "FUNCTION"], "CREATE FUNCTION"),
    (&["CREATE", "INDEX"], "CREATE INDEX"),
    (&["CREATE", "MATERIALIZED", "VIEW"], "CREATE MATERIALIZED VIEW"),
    (&["CREATE", "OR", "REPLACE", "AGGREGATE"], "CREATE AGGREGATE"),
    (&["CREATE", "OR", "REPLACE", "FUNCTION"], "CREATE FUNCTION"),
    (&["CREATE", "ROLE"], "CREATE ROLE"),
    (&["CREATE", "TRIGGER"], "CREATE TRIGGER"),
    (&["CREATE", "TYPE"], "CREATE TYPE"),
    (&["CREATE", "USER"], "CREATE USER"),
    (&["DESC"], "DESCRIBE"),
    (&["DESCRIBE"], "DESCRIBE"),
    (&["DROP", "AGGREGATE"], "DROP AGGREGATE"),
    (&["DROP", "FUNCTION"], "DROP FUNCTION"),
    (&["DROP", "IDENTITY"], "DROP IDENTITY"),
    (&["DROP", "INDEX"], "DROP INDEX"),
    (&["DROP", "MATERIALIZED", "VIEW"], "DROP MATERIALIZED VIEW"),
    (&["DROP", "ROLE"], "DROP ROLE"),
    (&["DROP", "TRIGGER"], "DROP TRIGGER"),
    (&["DROP", "TYPE"], "DROP TYPE"),
    (&["DROP", "USER"], "DROP USER"),
    (&["GRANT"], "GRANT"),
    (&["LIST"], "LIST"),
    (&["REVOKE"], "REVOKE"),
];

/// A place in the tokens of a statement.
struct Parser {
    tokens: Tokens<'static>,
    /// How many markers were met.
    markers: u16,
    /// How deep the rules are nested now.
    depth: usize,
}

impl Parser {
    fn new(text: &str) -> Result<Self, SyntaxError> {
        let tokens = Tokens::new(&Cql).with_tokens_with_locations(lex(text)?);
        Ok(Self { tokens, markers: 0, depth: 0 })
    }

    fn statement(&mut self, text: &str) -> Result<Statement, SyntaxError> {
        if let Some(what) = self.unsupported() {
            return Ok(self.skip(what, text));
        }
        if self.takes_word("SELECT") {
            if self.is_modifier("JSON") {
                return Ok(self.skip("SELECT JSON", text));
            }
            return self.select().map(Statement::Select);
        }
        if self.takes_word("INSERT") {
            let table = self.insert_table()?;
            if self.is_word(0, "JSON") {
                return Ok(self.skip("INSERT JSON", text));
            }
            return self.insert(table).map(Statement::Insert);
        }
        if self.takes_word("BEGIN") {
            return self.batch(text);
        }
        if self.takes_word("UPDATE") {
            return self.update().map(Statement::Update);
        }
        if self.takes_word("DELETE") {
            return self.delete().map(Statement::Delete);
        }
        if self.takes_word("USE") {
            return self.name("a keyspace").map(Statement::Use);
        }
        self.definition()
    }

    /// What the statement is called if it is known by its first words only.
    fn unsupported(&self) -> Option<&'static str> {
        UNSUPPORTED.iter().find(|(words, _)| self.are_words(words)).map(|(_, what)| *what)
    }

    /// Takes the rest of a statement as it is.
    fn skip(&mut self, what: &'static str, text: &str) -> Statement {
        while !matches!(self.peek(), Token::EOF | Token::SemiColon) {
            self.advance();
        }
        Self::unsupported_one(what, text)
    }

    /// Takes the rest of a batch as it is, with the semicolons in it.
    fn skip_batch(&mut self, what: &'static str, text: &str) -> Statement {
        while *self.peek() != Token::EOF {
            self.advance();
        }
        Self::unsupported_one(what, text)
    }

    fn unsupported_one(what: &'static str, text: &str) -> Statement {
        let is_end = |char: char| char == ';' || char.is_whitespace();
        Statement::Unsupported { what, text: text.trim_start().trim_end_matches(is_end).to_owned() }
    }

    fn peek(&self) -> &Token {
        self.peek_nth(0)
    }

    fn peek_nth(&self, n: usize) -> &Token {
        &self.tokens.peek_nth_token_ref(n).token
    }

    /// Where the next token stands.
    fn position(&self) -> Position {
        position(self.tokens.peek_token_ref().span.start)
    }

    /// Steps over the next token.
    fn advance(&mut self) {
        self.tokens.advance_token();
    }

    /// Steps over the next token if it is this one.
    fn takes(&mut self, token: &Token) -> bool {
        self.tokens.consume_token(token)
    }

    /// Steps over the next token, which must be this one.
    fn expect(&mut self, token: &Token) -> Result<(), SyntaxError> {
        if self.takes(token) { Ok(()) } else { self.refuse(format!("`{token}`")) }
    }

    /// Whether the `n`-th token from here is this word, given in capitals.
    fn is_word(&self, n: usize, word: &str) -> bool {
        matches!(self.peek_nth(n), Token::Word(found)
            if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
    }

    /// Whether the next tokens are these words.
    fn are_words(&self, words: &[&str]) -> bool {
        (0..).zip(words).all(|(n, word)| self.is_word(n, word))
    }

    /// Steps over the next token if it is this word.
    fn takes_word(&mut self, word: &str) -> bool {
        let is_here = self.is_word(0, word);
        if is_here {
            self.advance();
        }
        is_here
    }

    /// Steps over the next tokens if they are these words.
    fn takes_words(&mut self, words: &[&str]) -> bool {
        let are_here = self.are_words(words);
        if are_here {
            for _ in words {
                self.advance();
            }
        }
        are_here
    }

    /// Steps over the next tokens, which must be these words.
    fn expect_words(&mut self, words: &[&str]) -> Result<(), SyntaxError> {
        for word in words {
            if !self.takes_word(word) {
                return self.refuse(*word);
            }
        }
        Ok(())
    }

    /// Whether the next word is this one and says how to read what follows, rather than being what is
    /// selected: `SELECT json FROM t` selects a column, `SELECT json(a) FROM t` calls a function.
    fn is_modifier(&self, word: &str) -> bool {
        let is_selected = match self.peek_nth(1) {
            Token::Comma | Token::Period | Token::EOF => true,
            Token::LParen | Token::LBracket => self.is_joined(0),
            _ => self.is_word(1, "FROM") || self.is_word(1, "AS"),
        };
        self.is_word(0, word) && !is_selected
    }

    /// Whether there is no space between the `n`-th token from here and the one behind it.
    fn is_joined(&self, n: usize) -> bool {
        let [first, second] = [n, n + 1].map(|n| self.tokens.peek_nth_token_ref(n).span);
        first.end == second.start
    }

    /// A name, in quotes or not reserved.
    fn name(&mut self, expected: &str) -> Result<Name, SyntaxError> {
        let at = self.position().into();
        let text = match self.peek() {
            Token::Word(word) if word.quote_style.is_some() => word.value.clone(),
            Token::Word(word) if !is_reserved(&word.value) => word.value.to_ascii_lowercase(),
            _ => return self.refuse(expected),
        };
        self.advance();
        Ok(Name { text, at })
    }

    /// A name that may follow the name of its keyspace.
    fn qualified(&mut self, expected: &str) -> Result<Qualified, SyntaxError> {
        let name = self.name(expected)?;
        if self.takes(&Token::Period) {
            return Ok(Qualified { keyspace: Some(name), name: self.name(expected)? });
        }
        Ok(Qualified { keyspace: None, name })
    }

    /// One or more items with commas between them.
    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<Vec<T>, SyntaxError> {
        let mut items = vec![item(self)?];
        while self.takes(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Items with commas between them up to a closing sign, possibly none.
    fn list_until<T>(
        &mut self,
        close: &Token,
        mut item: impl FnMut(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<Vec<T>, SyntaxError> {
        if self.takes(close) {
            return Ok(Vec::new());
        }
        let first = item(self)?;
        self.rest_until(close, first, item)
    }

    /// One or more items in parentheses.
    fn parenthesised<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<Vec<T>, SyntaxError> {
        self.expect(&Token::LParen)?;
        let first = item(self)?;
        self.rest_until(&Token::RParen, first, item)
    }

    /// The first item of a list and those behind it, up to a closing sign.
    fn rest_until<T>(
        &mut self,
        close: &Token,
        first: T,
        mut item: impl FnMut(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<Vec<T>, SyntaxError> {
        let mut items = vec![first];
        while self.takes(&Token::Comma) {
            items.push(item(self)?);
        }
        if self.takes(close) { Ok(items) } else { self.refuse(format!("`,` or `{close}`")) }
    }

    /// One or more items with AND between them.
    fn conjunction<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<Vec<T>, SyntaxError> {
        let mut items = vec![item(self)?];
        while self.takes_word("AND") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// A rule one level deeper.
    fn nested<T>(
        &mut self,
        rule: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        let outside = self.depth;
        self.deepen()?;
        let result = rule(self);
        self.depth = outside;
        result
    }

    /// Goes one level deeper, until the rule in [`nested`](Self::nested) ends.
    fn deepen(&mut self) -> Result<(), SyntaxError> {
        if self.depth == DEPTH_MAX {
            return self.refuse(format!("at most {DEPTH_MAX} levels of nesting"));
        }
        self.depth += 1;
        Ok(())
    }

    /// Which token comes next, for [`refuse_since`](Self::refuse_since).
    fn index(&self) -> usize {
        self.tokens.index()
    }

    /// The error at the next token.
    fn refuse<T>(&self, expected: impl Into<String>) -> Result<T, SyntaxError> {
        let found = match self.peek() {
            Token::EOF => "end of text".to_owned(),
            Token::SingleQuotedString(text) => shown(&format!("'{text}'")),
            Token::HexStringLiteral(digits) => shown(&format!("0x{digits}")),
            token => shown(uuid_of(token).unwrap_or(&token.to_string())),
        };
        Err(SyntaxError::new(self.position(), expected, found))
    }

    /// The error at an earlier token, of which only what follows shows that it is wrong.
    fn refuse_since<T>(
        &mut self,
        index: usize,
        expected: impl Into<String>,
    ) -> Result<T, SyntaxError> {
        while self.tokens.index() > index {
            self.tokens.prev_token();
        }
        self.refuse(expected)
    }
}

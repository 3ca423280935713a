//! Selections, attributes, relations and assignments.

use sqlparser::tokenizer::Token;
use types::{Consistency, Order};

use super::Parser;
use crate::{
    Assignment, Attribute, Change, Comparison, Condition, InList, Literal, Name, OrderBy, Relation,
    Selection, Selector, Subject, SyntaxError, Target, Term, TermKind, Test, Using,
};

impl Parser {
    /// The list after SELECT or RETURNING.
    pub(super) fn selections(&mut self) -> Result<Vec<Selection>, SyntaxError> {
        self.list(|parser| {
            if parser.takes(&Token::Mul) {
                return Ok(Selector::All.into());
            }
            let selector = parser.selector()?;
            let alias = if parser.takes_word("AS") { Some(parser.name("an alias")?) } else { None };
            Ok(Selection { selector, alias })
        })
    }

    /// RETURNING, if it is there.
    pub(super) fn returning(&mut self) -> Result<Vec<Selection>, SyntaxError> {
        if self.takes_word("RETURNING") { self.selections() } else { Ok(Vec::new()) }
    }

    pub(super) fn selector(&mut self) -> Result<Selector, SyntaxError> {
        self.nested(|parser| {
            let mut selector = parser.selector_base()?;
            while matches!(parser.peek(), Token::Period | Token::LBracket) {
                parser.deepen()?; // Each step makes the tree one level deeper.
                selector = parser.selector_step(selector)?;
            }
            Ok(selector)
        })
    }

    fn selector_base(&mut self) -> Result<Selector, SyntaxError> {
        if self.is_word(0, "CAST") && *self.peek_nth(1) == Token::LParen {
            return self.cast();
        }
        if self.is_call() {
            return self.selector_call();
        }
        if self.is_name() {
            return self.name("a column").map(Selector::Column);
        }
        let begins_term = matches!(
            self.peek(),
            Token::Placeholder(_) | Token::Colon | Token::LBracket | Token::LBrace | Token::LParen
        );
        if begins_term {
            return self.term().map(Selector::Term);
        }
        let at = self.position().into();
        match self.literal()? {
            Some(literal) => Ok(Selector::Term(Term { kind: TermKind::Literal(literal), at })),
            None => self.refuse("a column, a function or a value"),
        }
    }

    fn cast(&mut self) -> Result<Selector, SyntaxError> {
        self.expect_words(&["CAST"])?;
        self.expect(&Token::LParen)?;
        let selector = Box::new(self.selector()?);
        self.expect_words(&["AS"])?;
        let kind = self.type_name()?;
        self.expect(&Token::RParen)?;
        Ok(Selector::Cast { selector, kind })
    }

    fn selector_call(&mut self) -> Result<Selector, SyntaxError> {
        let function = self.function()?;
        self.expect(&Token::LParen)?;
        let counts = function.keyspace.is_none() && function.name.text == "count";
        let is_one = matches!(self.peek(), Token::Number(digits, false) if digits == "1");
        let is_all = *self.peek() == Token::Mul || is_one;
        if counts && is_all && *self.peek_nth(1) == Token::RParen {
            self.advance();
            self.advance();
            return Ok(Selector::CountRows);
        }
        let arguments = self.list_until(&Token::RParen, Self::selector)?;
        Ok(Selector::Call { function, arguments })
    }

    /// `.field` or `[key]` after a selector.
    fn selector_step(&mut self, selector: Selector) -> Result<Selector, SyntaxError> {
        let of = Box::new(selector);
        if self.takes(&Token::Period) {
            return Ok(Selector::Field { of, field: self.name("a field")? });
        }
        Ok(Selector::Element { of, key: self.key()? })
    }

    /// `[key]`.
    fn key(&mut self) -> Result<Term, SyntaxError> {
        self.expect(&Token::LBracket)?;
        let key = self.term()?;
        self.expect(&Token::RBracket)?;
        Ok(key)
    }

    /// The attributes after USING, if it is there.
    pub(super) fn using(&mut self) -> Result<Using, SyntaxError> {
        if !self.takes_word("USING") {
            return Ok(Using::default());
        }
        let mut using = Using::default();
        loop {
            let start = self.index();
            let attribute = self.attribute()?;
            let kind = std::mem::discriminant(&attribute);
            if using.attributes.iter().any(|other| std::mem::discriminant(other) == kind) {
                return self.refuse_since(start, "an attribute that was not there before");
            }
            using.attributes.push(attribute);
            if !self.takes_word("AND") {
                return Ok(using);
            }
        }
    }

    fn attribute(&mut self) -> Result<Attribute, SyntaxError> {
        if self.takes_word("TTL") {
            return self.integer_or_marker().map(Attribute::Ttl);
        }
        if self.takes_word("TIMESTAMP") {
            return self.integer_or_marker().map(Attribute::Timestamp);
        }
        if self.takes_word("CONTEXT") {
            return self.context().map(Attribute::Context);
        }
        if self.takes_word("CONSISTENCY") {
            return self.consistency();
        }
        self.refuse("TTL, TIMESTAMP, CONTEXT or CONSISTENCY")
    }

    /// A blob or a bind marker.
    fn context(&mut self) -> Result<Term, SyntaxError> {
        let is_one = matches!(
            self.peek(),
            Token::HexStringLiteral(_) | Token::Placeholder(_) | Token::Colon
        );
        if is_one { self.term() } else { self.refuse("a blob or a bind marker") }
    }

    fn consistency(&mut self) -> Result<Attribute, SyntaxError> {
        let level = match self.peek() {
            Token::Word(word) if word.quote_style.is_none() => word.value.parse().ok(),
            _ => None,
        };
        let Some(level): Option<Consistency> = level else {
            return self.refuse("a consistency level");
        };
        let at = self.position().into();
        self.advance();
        Ok(Attribute::Consistency(level, at))
    }

    /// The relations after WHERE, which must be there.
    pub(super) fn relations(&mut self) -> Result<Vec<Relation>, SyntaxError> {
        self.expect_words(&["WHERE"])?;
        self.conjunction(Self::relation)
    }

    /// IF, if it is there.
    pub(super) fn condition(&mut self) -> Result<Option<Condition>, SyntaxError> {
        if !self.takes_word("IF") {
            return Ok(None);
        }
        if self.is_word(0, "EXISTS") && !self.is_comparison(1) {
            self.advance();
            return Ok(Some(Condition::Exists));
        }
        self.conjunction(Self::relation).map(Condition::All).map(Some)
    }

    /// Whether the `n`-th token from here goes on with a relation, so that the word before it is a
    /// column.
    fn is_comparison(&self, n: usize) -> bool {
        let is_sign = matches!(
            self.peek_nth(n),
            Token::Eq | Token::Neq | Token::Lt | Token::LtEq | Token::Gt | Token::GtEq
        );
        is_sign
            || matches!(self.peek_nth(n), Token::LBracket | Token::Period)
            || ["IN", "CONTAINS", "LIKE", "IS"].iter().any(|word| self.is_word(n, word))
    }

    fn relation(&mut self) -> Result<Relation, SyntaxError> {
        self.nested(|parser| {
            let at = parser.position().into();
            let is_tuple = matches!(parser.peek_nth(1), Token::Word(_))
                && matches!(parser.peek_nth(2), Token::Comma | Token::RParen);
            if *parser.peek() == Token::LParen && !is_tuple {
                parser.advance();
                let relation = parser.relation()?;
                parser.expect(&Token::RParen)?;
                return Ok(relation);
            }
            let subject = parser.subject()?;
            Ok(Relation { subject, test: parser.test()?, at })
        })
    }

    fn subject(&mut self) -> Result<Subject, SyntaxError> {
        let column = |parser: &mut Self| parser.name("a column");
        if *self.peek() == Token::LParen {
            return self.parenthesised(column).map(Subject::Tuple);
        }
        if self.takes_word("TOKEN") {
            return self.parenthesised(column).map(Subject::Token);
        }
        Ok(match self.target()? {
            Target::Column(column) => Subject::Column(column),
            Target::Element { column, key } => Subject::Element { column, key },
            Target::Field { column, field } => Subject::Field { column, field },
        })
    }

    /// A column, an element or a field of one.
    pub(super) fn target(&mut self) -> Result<Target, SyntaxError> {
        let column = self.name("a column")?;
        if *self.peek() == Token::LBracket {
            return Ok(Target::Element { column, key: self.key()? });
        }
        if self.takes(&Token::Period) {
            return Ok(Target::Field { column, field: self.name("a field")? });
        }
        Ok(Target::Column(column))
    }

    fn test(&mut self) -> Result<Test, SyntaxError> {
        let comparison = match self.peek() {
            Token::Eq => Comparison::Equal,
            Token::Neq => Comparison::NotEqual,
            Token::Lt => Comparison::Less,
            Token::LtEq => Comparison::LessOrEqual,
            Token::Gt => Comparison::Greater,
            Token::GtEq => Comparison::GreaterOrEqual,
            _ => return self.test_in_words(),
        };
        self.advance();
        Ok(Test::Compare(comparison, self.term()?))
    }

    fn test_in_words(&mut self) -> Result<Test, SyntaxError> {
        if self.takes_word("IN") {
            return self.in_list().map(Test::In);
        }
        if self.takes_word("CONTAINS") {
            // `key(…)` without a space is a call.
            if self.is_call() && self.is_joined(0) || !self.takes_word("KEY") {
                return self.term().map(Test::Contains);
            }
            return self.term().map(Test::ContainsKey);
        }
        if self.takes_word("LIKE") {
            return self.term().map(Test::Like);
        }
        if self.takes_word("IS") {
            self.expect_words(&["NOT", "NULL"])?;
            return Ok(Test::IsNotNull);
        }
        self.refuse("an operator (=, !=, <, <=, >, >=, IN, CONTAINS, LIKE or IS NOT NULL)")
    }

    fn in_list(&mut self) -> Result<InList, SyntaxError> {
        if self.takes(&Token::LParen) {
            return self.list_until(&Token::RParen, Self::term).map(InList::Terms);
        }
        match self.peek() {
            Token::Placeholder(_) | Token::Colon => self.marker().map(InList::Marker),
            _ => self.refuse("`(` or a bind marker"),
        }
    }

    /// One assignment of UPDATE.
    pub(super) fn assignment(&mut self) -> Result<Assignment, SyntaxError> {
        let target = self.target()?;
        let change = match (&target, self.peek()) {
            (Target::Column(_), Token::Plus) => {
                self.advance();
                self.expect(&Token::Eq)?;
                Change::Add(self.term()?)
            }
            (Target::Column(_), Token::Minus) => {
                self.advance();
                self.expect(&Token::Eq)?;
                Change::Subtract(self.term()?)
            }
            (Target::Column(column), Token::Eq) => {
                self.advance();
                self.change(column)?
            }
            (_, Token::Eq) => {
                self.advance();
                Change::Set(self.term()?)
            }
            (Target::Column(_), _) => return self.refuse("`=`, `+=` or `-=`"),
            _ => return self.refuse("`=`"),
        };
        Ok(Assignment { target, change })
    }

    /// What stands after `column =`.
    fn change(&mut self, column: &Name) -> Result<Change, SyntaxError> {
        if self.is_name() && matches!(self.peek_nth(1), Token::Plus | Token::Minus) {
            self.same(column)?;
            if self.takes(&Token::Plus) {
                return self.term().map(Change::Add);
            }
            self.expect(&Token::Minus)?;
            return self.term().map(Change::Subtract);
        }
        let term = self.term()?;
        if !self.takes(&Token::Plus) {
            return Ok(Change::Set(term));
        }
        self.same(column)?;
        Ok(Change::Prepend(term))
    }

    /// The column that is set, once more.
    fn same(&mut self, column: &Name) -> Result<(), SyntaxError> {
        let start = self.index();
        match self.name("the column that is set") {
            Ok(name) if name == *column => Ok(()),
            _ => self.refuse_since(start, format!("`{column}`, the column that is set")),
        }
    }

    /// One item after ORDER BY.
    pub(super) fn order_by(&mut self) -> Result<OrderBy, SyntaxError> {
        let column = self.name("a column")?;
        if self.takes_words(&["ANN", "OF"]) {
            return Ok(OrderBy::Nearest { column, to: self.term()? });
        }
        Ok(OrderBy::Column { column, order: self.order() })
    }

    /// ASC or DESC; without either it is ASC.
    pub(super) fn order(&mut self) -> Order {
        if self.takes_word("DESC") {
            return Order::Descending;
        }
        self.takes_word("ASC");
        Order::Ascending
    }

    /// A constant that must be there.
    pub(super) fn constant(&mut self) -> Result<Literal, SyntaxError> {
        match self.literal()? {
            Some(literal) => Ok(literal),
            None => self.refuse("a constant"),
        }
    }
}

//! SELECT, INSERT, UPDATE, DELETE and BATCH, after their first word.

use sqlparser::tokenizer::Token;

use super::Parser;
use crate::{
    Batch, BatchKind, BatchStatement, Delete, Insert, Qualified, Select, Statement, SyntaxError,
    Update,
};

impl Parser {
    pub(super) fn select(&mut self) -> Result<Select, SyntaxError> {
        let is_distinct = self.is_modifier("DISTINCT") && self.takes_word("DISTINCT");
        let selections = self.selections()?;
        self.expect_words(&["FROM"])?;
        let table = self.qualified("a table")?;
        let mut select = Select { is_distinct, ..Select::new(selections, table) };
        select.using = self.using()?;
        if self.is_word(0, "WHERE") {
            select.relations = self.relations()?;
        }
        if self.takes_words(&["GROUP", "BY"]) {
            select.group_by = self.list(Self::selector)?;
        }
        if self.takes_words(&["ORDER", "BY"]) {
            select.order_by = self.list(Self::order_by)?;
        }
        if self.takes_words(&["PER", "PARTITION", "LIMIT"]) {
            select.per_partition_limit = Some(self.integer_or_marker()?);
        }
        if self.takes_word("LIMIT") {
            select.limit = Some(self.integer_or_marker()?);
        }
        select.allow_filtering = self.takes_words(&["ALLOW", "FILTERING"]);
        self.using_at_the_end(&mut select)?;
        Ok(select)
    }

    fn using_at_the_end(&mut self, select: &mut Select) -> Result<(), SyntaxError> {
        if !self.is_word(0, "USING") {
            return Ok(());
        }
        if !select.using.is_empty() {
            return self.refuse("only one USING");
        }
        select.using = self.using()?;
        select.is_using_last = true;
        Ok(())
    }

    /// The table of an INSERT.
    pub(super) fn insert_table(&mut self) -> Result<Qualified, SyntaxError> {
        self.expect_words(&["INTO"])?;
        self.qualified("a table")
    }

    /// The rest of an INSERT after its table.
    pub(super) fn insert(&mut self, table: Qualified) -> Result<Insert, SyntaxError> {
        let columns = self.parenthesised(|parser| parser.name("a column"))?;
        self.expect_words(&["VALUES"])?;
        let values = self.parenthesised(Self::term)?;
        let if_not_exists = self.takes_words(&["IF", "NOT", "EXISTS"]);
        let using = self.using()?;
        let returning = self.returning()?;
        Ok(Insert { table, columns, values, if_not_exists, using, returning })
    }

    pub(super) fn update(&mut self) -> Result<Update, SyntaxError> {
        let table = self.qualified("a table")?;
        let using = self.using()?;
        self.expect_words(&["SET"])?;
        let assignments = self.list(Self::assignment)?;
        let relations = self.relations()?;
        let condition = self.condition()?;
        let returning = self.returning()?;
        Ok(Update { table, using, assignments, relations, condition, returning })
    }

    pub(super) fn delete(&mut self) -> Result<Delete, SyntaxError> {
        let targets = if self.is_word(0, "FROM") { Vec::new() } else { self.list(Self::target)? };
        self.expect_words(&["FROM"])?;
        let table = self.qualified("a table")?;
        let using = self.using()?;
        let relations = self.relations()?;
        let condition = self.condition()?;
        let returning = self.returning()?;
        Ok(Delete { targets, table, using, relations, condition, returning })
    }

    /// The rest of a batch; one with an INSERT JSON in it is known by that only.
    pub(super) fn batch(&mut self, text: &str) -> Result<Statement, SyntaxError> {
        let kind = self.batch_kind()?;
        let using = self.using()?;
        let mut statements = Vec::new();
        while !self.takes_word("APPLY") {
            if self.is_insert_json() {
                return Ok(self.skip_batch("INSERT JSON", text));
            }
            statements.push(self.batch_statement()?);
            self.takes(&Token::SemiColon);
        }
        self.expect_words(&["BATCH"])?;
        Ok(Statement::Batch(Batch { kind, using, statements }))
    }

    fn batch_kind(&mut self) -> Result<BatchKind, SyntaxError> {
        for (words, kind) in [
            (&["BATCH"][..], BatchKind::Logged),
            (&["LOGGED", "BATCH"], BatchKind::Logged),
            (&["UNLOGGED", "BATCH"], BatchKind::Unlogged),
            (&["COUNTER", "BATCH"], BatchKind::Counter),
        ] {
            if self.takes_words(words) {
                return Ok(kind);
            }
        }
        self.refuse("BATCH, LOGGED BATCH, UNLOGGED BATCH or COUNTER BATCH")
    }

    fn batch_statement(&mut self) -> Result<BatchStatement, SyntaxError> {
        if self.takes_word("INSERT") {
            let table = self.insert_table()?;
            return self.insert(table).map(BatchStatement::Insert);
        }
        if self.takes_word("UPDATE") {
            return self.update().map(BatchStatement::Update);
        }
        if self.takes_word("DELETE") {
            return self.delete().map(BatchStatement::Delete);
        }
        self.refuse("INSERT, UPDATE, DELETE or APPLY BATCH")
    }

    /// Whether `INSERT INTO t JSON` or `INSERT INTO ks.t JSON` comes next.
    fn is_insert_json(&self) -> bool {
        let table = if *self.peek_nth(3) == Token::Period { 3 } else { 1 };
        self.are_words(&["INSERT", "INTO"]) && self.is_word(2 + table, "JSON")
    }
}

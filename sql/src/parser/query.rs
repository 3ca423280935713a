//! SELECT, INSERT, UPDATE and DELETE, after their first word.

use super::Parser;
use crate::{Delete, Insert, Qualified, Select, SyntaxError, Update};

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
}

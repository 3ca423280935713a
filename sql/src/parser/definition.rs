//! The statements that make, change, empty and drop keyspaces and tables.

use sqlparser::tokenizer::Token;
use types::Order;

use super::Parser;
use crate::{
    AlterKeyspace, AlterTable, Alteration, ColumnDefinition, CreateKeyspace, CreateTable,
    DropKeyspace, DropTable, Literal, Name, PrimaryKey, Properties, Property, PropertyValue,
    Qualified, Statement, SyntaxError,
};

/// The words that each mean the same.
const KEYSPACE: [&str; 2] = ["KEYSPACE", "SCHEMA"];
const TABLE: [&str; 2] = ["TABLE", "COLUMNFAMILY"];

impl Parser {
    /// A statement about the schema, from its first word on.
    pub(super) fn definition(&mut self) -> Result<Statement, SyntaxError> {
        if self.takes_word("CREATE") {
            return self.create();
        }
        if self.takes_word("DROP") {
            return self.drop();
        }
        if self.takes_word("ALTER") {
            return self.alter();
        }
        if self.takes_word("TRUNCATE") {
            self.takes_one_of(TABLE);
            return self.qualified("a table").map(Statement::Truncate);
        }
        self.refuse("a statement (SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, USE…)")
    }

    fn create(&mut self) -> Result<Statement, SyntaxError> {
        if self.takes_one_of(KEYSPACE) {
            let if_not_exists = self.takes_words(&["IF", "NOT", "EXISTS"]);
            let keyspace = self.name("a keyspace")?;
            let properties = self.properties()?;
            let create = CreateKeyspace { if_not_exists, keyspace, properties };
            return Ok(Statement::CreateKeyspace(create));
        }
        if self.takes_one_of(TABLE) {
            return self.create_table().map(Statement::CreateTable);
        }
        self.refuse(
            "KEYSPACE, TABLE, INDEX, TYPE, MATERIALIZED VIEW, FUNCTION, AGGREGATE, TRIGGER, ROLE or USER",
        )
    }

    fn drop(&mut self) -> Result<Statement, SyntaxError> {
        if self.takes_one_of(KEYSPACE) {
            let if_exists = self.takes_words(&["IF", "EXISTS"]);
            let keyspace = self.name("a keyspace")?;
            return Ok(Statement::DropKeyspace(DropKeyspace { if_exists, keyspace }));
        }
        if self.takes_one_of(TABLE) {
            let if_exists = self.takes_words(&["IF", "EXISTS"]);
            let table = self.qualified("a table")?;
            return Ok(Statement::DropTable(DropTable { if_exists, table }));
        }
        self.refuse(
            "KEYSPACE, TABLE, INDEX, TYPE, MATERIALIZED VIEW, FUNCTION, AGGREGATE, TRIGGER, ROLE or USER",
        )
    }

    fn alter(&mut self) -> Result<Statement, SyntaxError> {
        if self.takes_one_of(KEYSPACE) {
            let if_exists = self.takes_words(&["IF", "EXISTS"]);
            let keyspace = self.name("a keyspace")?;
            let properties = self.properties()?;
            let alter = AlterKeyspace { if_exists, keyspace, properties };
            return Ok(Statement::AlterKeyspace(alter));
        }
        if self.takes_one_of(TABLE) {
            let if_exists = self.takes_words(&["IF", "EXISTS"]);
            let table = self.qualified("a table")?;
            let alteration = self.alteration()?;
            return Ok(Statement::AlterTable(AlterTable { if_exists, table, alteration }));
        }
        self.refuse("KEYSPACE, TABLE, TYPE, MATERIALIZED VIEW, ROLE or USER")
    }

    fn alteration(&mut self) -> Result<Alteration, SyntaxError> {
        if self.takes_word("ADD") {
            let if_not_exists = self.takes_words(&["IF", "NOT", "EXISTS"]);
            let columns = self.listed(Self::added_column)?;
            return Ok(Alteration::Add { if_not_exists, columns });
        }
        if self.takes_words(&["DROP", "COMPACT", "STORAGE"]) {
            return Ok(Alteration::DropCompactStorage);
        }
        if self.takes_word("DROP") {
            let if_exists = self.takes_words(&["IF", "EXISTS"]);
            let columns = self.listed(|parser| parser.name("a column"))?;
            let has_timestamp = self.takes_words(&["USING", "TIMESTAMP"]);
            let timestamp = if has_timestamp { Some(self.integer_or_marker()?) } else { None };
            return Ok(Alteration::Drop { if_exists, columns, timestamp });
        }
        if self.takes_word("RENAME") {
            let if_exists = self.takes_words(&["IF", "EXISTS"]);
            let columns = self.conjunction(Self::renaming)?;
            return Ok(Alteration::Rename { if_exists, columns });
        }
        if self.takes_word("ALTER") {
            let column = self.name("a column")?;
            self.expect_words(&["TYPE"])?;
            return Ok(Alteration::Retype { column, kind: self.type_name()? });
        }
        if self.is_word(0, "WITH") {
            return self.properties().map(Alteration::Options);
        }
        self.refuse("ADD, DROP, RENAME, ALTER or WITH")
    }

    /// One or more items, in parentheses or without.
    fn listed<T>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<Vec<T>, SyntaxError> {
        if *self.peek() == Token::LParen { self.parenthesised(item) } else { self.list(item) }
    }

    fn added_column(&mut self) -> Result<ColumnDefinition, SyntaxError> {
        let name = self.name("a column")?;
        let kind = self.type_name()?;
        Ok(ColumnDefinition { name, kind, is_static: self.takes_word("STATIC") })
    }

    /// `a TO b`.
    fn renaming(&mut self) -> Result<(Name, Name), SyntaxError> {
        let from = self.name("a column")?;
        self.expect_words(&["TO"])?;
        Ok((from, self.name("the new name of the column")?))
    }

    fn takes_one_of(&mut self, words: [&str; 2]) -> bool {
        words.iter().any(|word| self.takes_word(word))
    }

    /// WITH, which must be there, and its options.
    fn properties(&mut self) -> Result<Properties, SyntaxError> {
        self.expect_words(&["WITH"])?;
        let mut properties = Properties::default();
        loop {
            self.property(&mut properties)?;
            if !self.takes_word("AND") {
                return Ok(properties);
            }
        }
    }

    fn property(&mut self, properties: &mut Properties) -> Result<(), SyntaxError> {
        let start = self.index();
        let name = self.name("an option")?;
        if properties.find(&name.text).is_some() {
            return self.refuse_since(start, "an option that was not there before");
        }
        self.expect(&Token::Eq)?;
        let value = self.property_value()?;
        properties.properties.push(Property { name, value });
        Ok(())
    }

    fn property_value(&mut self) -> Result<PropertyValue, SyntaxError> {
        if self.takes(&Token::LBrace) {
            return self.list_until(&Token::RBrace, Self::pair).map(PropertyValue::Map);
        }
        if let Some(literal) = self.literal()? {
            return Ok(PropertyValue::Literal(literal));
        }
        self.name("a constant, a word or a map").map(PropertyValue::Word)
    }

    fn pair(&mut self) -> Result<(Literal, Literal), SyntaxError> {
        let key = self.constant()?;
        self.expect(&Token::Colon)?;
        Ok((key, self.constant()?))
    }

    fn create_table(&mut self) -> Result<CreateTable, SyntaxError> {
        let if_not_exists = self.takes_words(&["IF", "NOT", "EXISTS"]);
        let mut create = empty_table(if_not_exists, self.qualified("a table")?);
        self.expect(&Token::LParen)?;
        self.table_item(&mut create)?;
        while self.takes(&Token::Comma) && *self.peek() != Token::RParen {
            self.table_item(&mut create)?;
        }
        if create.columns.is_empty() {
            return self.refuse("a column");
        }
        if !self.takes(&Token::RParen) {
            return self.refuse("`,` or `)`");
        }
        if self.takes_word("WITH") {
            self.table_option(&mut create)?;
            while self.takes_word("AND") {
                self.table_option(&mut create)?;
            }
        }
        Ok(create)
    }

    /// A column, or the primary key.
    fn table_item(&mut self, create: &mut CreateTable) -> Result<(), SyntaxError> {
        let start = self.index();
        let key = if self.takes_words(&["PRIMARY", "KEY"]) {
            Some(self.primary_key()?)
        } else {
            self.column(create)?
        };
        if key.is_some() && create.primary_key.is_some() {
            return self.refuse_since(start, "only one PRIMARY KEY");
        }
        create.primary_key = create.primary_key.take().or(key);
        Ok(())
    }

    /// A column, and the key if PRIMARY KEY stands behind it.
    fn column(&mut self, create: &mut CreateTable) -> Result<Option<PrimaryKey>, SyntaxError> {
        let name = self.name("a column or PRIMARY KEY")?;
        let kind = self.type_name()?;
        let is_static = self.takes_word("STATIC");
        let key = self
            .takes_words(&["PRIMARY", "KEY"])
            .then(|| PrimaryKey { partition: vec![name.clone()], clustering: Vec::new() });
        create.columns.push(ColumnDefinition { name, kind, is_static });
        Ok(key)
    }

    /// `((a, b), c)` or `(a, c)`.
    fn primary_key(&mut self) -> Result<PrimaryKey, SyntaxError> {
        let column = |parser: &mut Self| parser.name("a column");
        self.expect(&Token::LParen)?;
        let partition = match self.peek() {
            Token::LParen => self.parenthesised(column)?,
            _ => vec![self.name("a column or `(`")?],
        };
        let clustering = if self.takes(&Token::Comma) { self.list(column)? } else { Vec::new() };
        if !self.takes(&Token::RParen) {
            return self.refuse("`,` or `)`");
        }
        Ok(PrimaryKey { partition, clustering })
    }

    fn table_option(&mut self, create: &mut CreateTable) -> Result<(), SyntaxError> {
        if self.takes_words(&["COMPACT", "STORAGE"]) {
            create.compact_storage = true;
            return Ok(());
        }
        if self.is_word(0, "CLUSTERING") && self.is_word(1, "ORDER") {
            if !create.clustering_order.is_empty() {
                return self.refuse("only one CLUSTERING ORDER");
            }
            self.expect_words(&["CLUSTERING", "ORDER", "BY"])?;
            create.clustering_order = self.parenthesised(Self::clustering_order)?;
            return Ok(());
        }
        self.property(&mut create.properties)
    }

    fn clustering_order(&mut self) -> Result<(Name, Order), SyntaxError> {
        let column = self.name("a column")?;
        Ok((column, self.order()))
    }
}

fn empty_table(if_not_exists: bool, table: Qualified) -> CreateTable {
    CreateTable {
        if_not_exists,
        table,
        columns: Vec::new(),
        primary_key: None,
        clustering_order: Vec::new(),
        compact_storage: false,
        properties: Properties::default(),
    }
}

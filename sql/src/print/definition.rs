//! The statements about the schema as text.

use std::fmt::{self, Display, Formatter};

use types::Order;

use super::{Ands, Commas, Pairs, direction, if_some};
use crate::{
    AlterKeyspace, AlterTable, Alteration, ColumnDefinition, CreateKeyspace, CreateTable,
    DropKeyspace, DropTable, Name, PrimaryKey, Properties, PropertyValue,
};

impl Display for CreateKeyspace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let exists = if_some(self.if_not_exists, "IF NOT EXISTS ");
        write!(f, "CREATE KEYSPACE {exists}{} WITH {}", self.keyspace, self.properties)
    }
}

impl Display for AlterKeyspace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let exists = if_some(self.if_exists, "IF EXISTS ");
        write!(f, "ALTER KEYSPACE {exists}{} WITH {}", self.keyspace, self.properties)
    }
}

impl Display for DropKeyspace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "DROP KEYSPACE {}{}", if_some(self.if_exists, "IF EXISTS "), self.keyspace)
    }
}

impl Display for DropTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "DROP TABLE {}{}", if_some(self.if_exists, "IF EXISTS "), self.table)
    }
}

impl Display for CreateTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let exists = if_some(self.if_not_exists, "IF NOT EXISTS ");
        write!(f, "CREATE TABLE {exists}{} ({}", self.table, Commas(&self.columns))?;
        if let Some(key) = &self.primary_key {
            write!(f, ", {key}")?;
        }
        f.write_str(")")?;
        let mut options = Vec::new();
        if !self.clustering_order.is_empty() {
            let orders: Vec<_> = self.clustering_order.iter().map(Ordered).collect();
            options.push(format!("CLUSTERING ORDER BY ({})", Commas(&orders)));
        }
        if self.compact_storage {
            options.push("COMPACT STORAGE".to_owned());
        }
        if !self.properties.properties.is_empty() {
            options.push(self.properties.to_string());
        }
        if options.is_empty() { Ok(()) } else { write!(f, " WITH {}", Ands(&options)) }
    }
}

/// A column and which way it sorts.
struct Ordered<'a>(&'a (Name, Order));

impl Display for Ordered<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.0, direction(self.0.1))
    }
}

impl Display for ColumnDefinition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.name, self.kind, if_some(self.is_static, " STATIC"))
    }
}

impl Display for PrimaryKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.partition[..] {
            [one] => write!(f, "PRIMARY KEY ({one}")?,
            several => write!(f, "PRIMARY KEY (({})", Commas(several))?,
        }
        self.clustering.iter().try_for_each(|column| write!(f, ", {column}"))?;
        f.write_str(")")
    }
}

impl Display for Properties {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (place, property) in self.properties.iter().enumerate() {
            let and = if_some(place > 0, " AND ");
            write!(f, "{and}{} = {}", property.name, property.value)?;
        }
        Ok(())
    }
}

impl Display for PropertyValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => literal.fmt(f),
            Self::Word(word) => word.fmt(f),
            Self::Map(pairs) => write!(f, "{{{}}}", Pairs(pairs)),
        }
    }
}

impl Display for AlterTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let exists = if_some(self.if_exists, "IF EXISTS ");
        write!(f, "ALTER TABLE {exists}{} {}", self.table, self.alteration)
    }
}

impl Display for Alteration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { if_not_exists, columns } => {
                write!(f, "ADD {}", if_some(*if_not_exists, "IF NOT EXISTS "))?;
                write_listed(f, columns)
            }
            Self::Drop { if_exists, columns, timestamp } => {
                write!(f, "DROP {}", if_some(*if_exists, "IF EXISTS "))?;
                write_listed(f, columns)?;
                match timestamp {
                    Some(timestamp) => write!(f, " USING TIMESTAMP {timestamp}"),
                    None => Ok(()),
                }
            }
            Self::DropCompactStorage => f.write_str("DROP COMPACT STORAGE"),
            Self::Rename { if_exists, columns } => {
                write!(f, "RENAME {}", if_some(*if_exists, "IF EXISTS "))?;
                let renamings: Vec<_> = columns.iter().map(Renaming).collect();
                Ands(&renamings).fmt(f)
            }
            Self::Retype { column, kind } => write!(f, "ALTER {column} TYPE {kind}"),
            Self::Options(properties) => write!(f, "WITH {properties}"),
        }
    }
}

/// The old and the new name of a column.
struct Renaming<'a>(&'a (Name, Name));

impl Display for Renaming<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} TO {}", self.0.0, self.0.1)
    }
}

/// One item as it is, several in parentheses.
fn write_listed(f: &mut Formatter<'_>, items: &[impl Display]) -> fmt::Result {
    match items {
        [one] => one.fmt(f),
        several => write!(f, "({})", Commas(several)),
    }
}

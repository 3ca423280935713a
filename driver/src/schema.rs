//! What the cluster says of a table's key.

use scylla::cluster::metadata;
use types::CqlType;

use crate::kind;

/// The key of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The columns of the partition key, in order.
    pub partition_key: Vec<KeyColumn>,
    /// The clustering columns, in order.
    pub clustering_key: Vec<KeyColumn>,
}

/// A column of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    /// The name.
    pub name: String,
    /// The type.
    pub kind: CqlType,
}

impl Table {
    /// The columns that together name one row.
    pub fn primary_key(&self) -> impl Iterator<Item = &KeyColumn> {
        self.partition_key.iter().chain(&self.clustering_key)
    }

    /// The table, unless a column of its key is of a type that is not known here.
    pub(crate) fn new(theirs: &metadata::Table) -> Option<Self> {
        let columns = |names: &[String]| -> Option<Vec<_>> {
            names.iter().map(|name| column(theirs, name)).collect()
        };
        Some(Self {
            partition_key: columns(&theirs.partition_key)?,
            clustering_key: columns(&theirs.clustering_key)?,
        })
    }
}

fn column(table: &metadata::Table, name: &str) -> Option<KeyColumn> {
    let kind = kind::known(&table.columns.get(name)?.typ)?;
    Some(KeyColumn { name: name.to_owned(), kind })
}

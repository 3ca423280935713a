//! How stored rows are shown to the client that asked.

use repair::version::Siblings;

use crate::store::keys::RowKey;

/// A stored key that does not fit its table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stored key of {len} bytes does not fit its table")]
pub struct DamagedKey {
    /// How long it is.
    pub len: usize,
}

/// How the rows of one execution are shown.
#[derive(Debug, Clone)]
pub struct Answer {
    columns: wire::Columns,
}

impl Answer {
    /// The columns of the result.
    pub fn columns(&self) -> &wire::Columns {
        &self.columns
    }

    /// Appends the result rows of one stored row, which is the whole result.
    ///
    /// # Errors
    /// [`DamagedKey`] where the key does not fit the table.
    pub fn write(
        &self,
        out: &mut wire::RowsWriter<'_>,
        key: &RowKey,
        row: &Siblings,
    ) -> Result<(), DamagedKey> {
        unimplemented!("{out:?} {key:?} {row:?}")
    }
}

//! Paging states: where a page ended, and what LIMIT still allows.
//!
//! ```text
//! rows left of LIMIT u32, 0: no LIMIT
//! rows given by the partition u32         only with PER PARTITION LIMIT and DISTINCT
//! stretch u32                             only where the statement has several
//! 0, at its beginning | 1 and the end of the last row's key
//! big endian
//! ```
//!
//! sealed for the statement with its values: for what it says and for the rows that it names. So a
//! state is good on any node and after a restart, and for nothing but the next page of the same
//! statement. Of the last row's key it holds what the statement does not say: the clustering
//! columns, in a scan the token and the partition key too; never the table's epoch, so that a
//! TRUNCATE between two pages ends the result and is no error.

use bytes::Bytes;

use crate::metadata::Secret;
use crate::plan::key::Stretch;
use crate::plan::prepared::BindContext;
use crate::plan::seal::{Purpose, SealError, seal};
use crate::plan::{PlanError, using};

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The stretch that is to be read on, counted in the order of the read.
    pub(super) stretch: usize,
    /// The end of the key of its last row that was read; none before the first one.
    pub(super) behind: Option<Bytes>,
    /// How many result rows the partition of that key has given.
    pub(super) taken: usize,
}

/// What a paging state says.
pub(super) struct Resumed {
    /// How many result rows LIMIT still allows; none without LIMIT.
    pub(super) left: Option<usize>,
    pub(super) place: Place,
}

/// How the paging states of one execution are sealed.
#[derive(Debug, Clone)]
pub(super) struct PagingSeal {
    secret: Secret,
    subject: [u8; 32],
    made_us: i64,
    has_partition_limit: bool,
    stretches: usize,
}

impl PagingSeal {
    pub(super) fn new(
        statement: &[u8; 32],
        stretches: &[Stretch],
        has_partition_limit: bool,
        request: &BindContext<'_>,
    ) -> Self {
        Self {
            secret: request.snapshot.value.secrets.current.clone(),
            subject: subject(statement, stretches),
            made_us: request.now_us,
            has_partition_limit,
            stretches: stretches.len(),
        }
    }

    pub(super) fn seal(&self, place: &Place, left: Option<usize>) -> Bytes {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
        let mut content = number(left.unwrap_or(0)).to_vec();
        if self.has_partition_limit {
            content.extend_from_slice(&number(place.taken));
        }
        if self.stretches > 1 {
            content.extend_from_slice(&number(place.stretch));
        }
        content.push(u8::from(place.behind.is_some()));
        content.extend_from_slice(place.behind.as_deref().unwrap_or_default());
        seal(&self.secret, Purpose::Paging, &self.subject, self.made_us, &content).into()
    }

    /// What a state says that came with a request.
    ///
    /// # Errors
    /// [`PlanError::BadPagingState`] for one of another statement, an expired or a forged one.
    pub(super) fn open(
        &self,
        sealed: &[u8],
        request: &BindContext<'_>,
    ) -> Result<Resumed, PlanError> {
        let refused = |source| PlanError::BadPagingState { source };
        let opened = using::opener(request).open(Purpose::Paging, &self.subject, sealed);
        self.read(opened.map_err(refused)?).ok_or_else(|| refused(SealError::Forged))
    }

    fn read(&self, mut content: &[u8]) -> Option<Resumed> {
        let mut number = || {
            let (number, rest) = content.split_first_chunk::<4>()?;
            content = rest;
            usize::try_from(u32::from_be_bytes(*number)).ok()
        };
        let left = number()?;
        let taken = if self.has_partition_limit { number()? } else { 0 };
        let stretch = if self.stretches > 1 { number()? } else { 0 };
        let (is_behind, key) = content.split_first()?;
        let behind = (*is_behind == 1).then(|| Bytes::copy_from_slice(key));
        if stretch > self.stretches {
            return None;
        }
        let place = Place { stretch, behind, taken };
        Some(Resumed { left: (left > 0).then_some(left), place })
    }
}

/// What a paging state belongs to: a statement and the rows that it names.
fn subject(statement: &[u8; 32], stretches: &[Stretch]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(statement);
    for stretch in stretches {
        for part in stretch.parts() {
            // With its length in front, no part can pass for the end of the one before it.
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(&part);
        }
    }
    hasher.finalize().into()
}

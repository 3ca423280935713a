//! The laws of the register, as an onlooker checks them who sees every answer given to a client.

use super::super::{ProposeError, RegisterValue};
use super::value::{Rejected, Task, Value};

/// A law that was broken, in words.
pub(super) type Broken = String;

/// Every value that is known to be chosen, oldest first.
#[derive(Clone, Hash, Debug, Default)]
pub(super) struct Chosen(Vec<Value>);

impl Chosen {
    pub(super) fn newest(&self) -> Option<&Value> {
        self.0.last()
    }

    pub(super) fn newest_epoch(&self) -> u64 {
        self.newest().map_or(0, |value| value.epoch)
    }

    /// One value for each version, each grown from all before it, no change twice.
    pub(super) fn note(&mut self, value: &Value) -> Result<(), Broken> {
        for (index, change) in value.changes.iter().enumerate() {
            if value.changes[..index].contains(change) {
                return Err(format!("{change} was applied twice: {value:?}"));
            }
        }
        if value.changes.len() as u64 != value.epoch {
            return Err(format!("an epoch without a change: {value:?}"));
        }
        for other in &self.0 {
            let (older, newer) =
                if other.version() < value.version() { (other, value) } else { (value, other) };
            if older.version() == newer.version() && older != newer {
                return Err(format!("one version, two values: {older:?}, {newer:?}"));
            }
            if !newer.changes.starts_with(&older.changes) {
                return Err(format!("{newer:?} does not contain {older:?}"));
            }
        }
        if !self.0.contains(value) {
            self.0.push(value.clone());
            self.0.sort_by_key(RegisterValue::version);
        }
        Ok(())
    }

    /// An answer contains the change, and whatever was chosen when the client asked.
    pub(super) fn check_answer(task: &Task, floor: u64, value: &Value) -> Result<(), Broken> {
        if task.change().is_some_and(|change| !value.remembers(change)) {
            return Err(format!("{task:?} was acknowledged by {value:?}"));
        }
        if !matches!(task, Task::Form(_)) && value.epoch < floor {
            return Err(format!("{task:?} went back from epoch {floor} to {value:?}"));
        }
        Ok(())
    }

    /// A refusal comes from something that is chosen.
    pub(super) fn check_rejection(&self, reject: &Rejected) -> Result<(), Broken> {
        match reject {
            Rejected::Contains(change) if !self.0.iter().any(|value| value.remembers(*change)) => {
                Err(format!("refused because of {change}, which was never chosen"))
            }
            _ => Ok(()),
        }
    }
}

/// Some failures are nobody's fault but the register's.
pub(super) fn check_failure(error: &ProposeError) -> Result<(), Broken> {
    match error {
        ProposeError::StateLost | ProposeError::BadChange { .. } => Err(error.to_string()),
        _ => Ok(()),
    }
}

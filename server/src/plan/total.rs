//! Aggregates: what all rows of a result have together.
//!
//! Null counts for nothing. Of no rows `count`, `sum` and `avg` are zero, as in Cassandra, `min` and
//! `max` null. A sum is of the type of what it sums; where that cannot hold it the statement fails
//! (Cassandra's integers wrap around). Callers: `project` names them, `page` and `answer` add rows.
//! Pure.

use types::key::encode_component;
use types::{CqlType, Order, Value};

use super::PlanError;

/// An aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    /// How many there are.
    Count,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// All together.
    Sum,
    /// Their mean.
    Avg,
}

/// An aggregate as far as rows were added.
#[derive(Debug, Clone)]
pub(super) struct Running {
    total: Total,
    kind: CqlType,
    count: i64,
    /// The least or the greatest so far, under the bytes that sort as it does.
    best: Option<(Vec<u8>, Vec<u8>)>,
    sum: Sum,
}

/// A sum of integers that cannot overflow before 2⁶⁴ of them, or of floats with what rounding took
/// from it (Kahan).
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    integers: i128,
    floats: f64,
    lost: f64,
}

impl Total {
    /// The aggregate of this name.
    pub(super) fn find(name: &str) -> Option<Self> {
        Some(match name {
            "count" => Self::Count,
            "min" => Self::Min,
            "max" => Self::Max,
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Sum => "sum",
            Self::Avg => "avg",
        }
    }

    /// Whether there is one of values of this type.
    pub(super) fn is_of(self, kind: &CqlType) -> bool {
        match self {
            Self::Count | Self::Min | Self::Max => true,
            Self::Sum | Self::Avg => {
                matches!(kind, CqlType::Int | CqlType::Bigint | CqlType::Float | CqlType::Double)
            }
        }
    }

    /// What it takes.
    pub(super) fn takes(self) -> String {
        match self {
            Self::Count | Self::Min | Self::Max => "one value".to_owned(),
            Self::Sum | Self::Avg => "one number".to_owned(),
        }
    }

    /// Its type over values of this one.
    pub(super) fn kind(self, of: Option<&CqlType>) -> CqlType {
        match (self, of) {
            (Self::Count, _) | (_, None) => CqlType::Bigint,
            (_, Some(of)) => of.clone(),
        }
    }

    /// The aggregate of no rows of values of this type.
    pub(super) fn begin(self, kind: CqlType) -> Running {
        Running { total: self, kind, count: 0, best: None, sum: Sum::default() }
    }
}

impl Running {
    /// Adds one value.
    pub(super) fn add(&mut self, value: Option<&[u8]>) -> Result<(), PlanError> {
        let Some(value) = value else { return Ok(()) };
        self.count += 1;
        match self.total {
            Total::Count => Ok(()),
            Total::Min | Total::Max => self.compare(value),
            Total::Sum | Total::Avg => self.sum(value),
        }
    }

    /// Adds so many rows to a count.
    pub(super) fn add_rows(&mut self, rows: usize) {
        self.count = self.count.saturating_add(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// What it has come to.
    pub(super) fn finish(self) -> Result<Option<Vec<u8>>, PlanError> {
        match self.total {
            Total::Count => Ok(Some(self.count.to_be_bytes().to_vec())),
            Total::Min | Total::Max => Ok(self.best.map(|(_, value)| value)),
            Total::Sum => self.encode(self.sum.integers, self.sum.floats).map(Some),
            Total::Avg => {
                let count = self.count.max(1);
                #[expect(clippy::cast_precision_loss, reason = "a mean is as exact as its type")]
                let floats = self.sum.floats / count as f64;
                self.encode(self.sum.integers / i128::from(count), floats).map(Some)
            }
        }
    }

    fn compare(&mut self, value: &[u8]) -> Result<(), PlanError> {
        let mut sorts_as = Vec::with_capacity(value.len() + 2);
        encode_component(&self.kind, value, Order::Ascending, &mut sorts_as)
            .map_err(|source| self.refused(source))?;
        let is_better = match &self.best {
            None => true,
            Some((best, _)) if self.total == Total::Min => sorts_as < *best,
            Some((best, _)) => sorts_as > *best,
        };
        if is_better {
            self.best = Some((sorts_as, value.to_vec()));
        }
        Ok(())
    }

    fn sum(&mut self, value: &[u8]) -> Result<(), PlanError> {
        let value = Value::decode(&self.kind, value).map_err(|source| self.refused(source))?;
        match value {
            Value::Int(number) => self.sum.integers += i128::from(number),
            Value::Bigint(number) => self.sum.integers += i128::from(number),
            Value::Float(number) => self.sum.add(number.into()),
            Value::Double(number) => self.sum.add(number),
            _ => {}
        }
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "a sum of floats is one")]
    fn encode(&self, integer: i128, float: f64) -> Result<Vec<u8>, PlanError> {
        let overflow =
            |_| PlanError::Overflow { function: self.total.name(), kind: self.kind.clone() };
        let value = match self.kind {
            CqlType::Int => Value::Int(integer.try_into().map_err(overflow)?),
            CqlType::Float => Value::Float(float as f32),
            CqlType::Double => Value::Double(float),
            _ => Value::Bigint(integer.try_into().map_err(overflow)?),
        };
        value.encode(&self.kind).map_err(|source| self.refused(source))
    }

    fn refused(&self, source: types::ValueError) -> PlanError {
        PlanError::Value { name: format!("{}()", self.total.name()), source }
    }
}

impl Sum {
    fn add(&mut self, number: f64) {
        let next = self.floats + number;
        // Of infinities and NaN nothing is lost that could be given back.
        if next.is_finite() {
            let corrected = number - self.lost;
            let next = self.floats + corrected;
            self.lost = (next - self.floats) - corrected;
            self.floats = next;
        } else {
            (self.floats, self.lost) = (next, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn over(total: Total, kind: &CqlType, values: &[Option<Value>]) -> Result<String, PlanError> {
        let mut running = total.begin(kind.clone());
        for value in values {
            let bytes = value.as_ref().map(|value| value.encode(kind).unwrap());
            running.add(bytes.as_deref())?;
        }
        let shown = |bytes: Vec<u8>| {
            Value::decode(&total.kind(Some(kind)), &bytes).unwrap().plain().to_string()
        };
        Ok(running.finish()?.map_or("null".to_owned(), shown))
    }

    #[test]
    fn nothing_counts_as_cassandras_nothing() {
        for (total, wanted) in [
            (Total::Count, "0"),
            (Total::Min, "null"),
            (Total::Max, "null"),
            (Total::Sum, "0"),
            (Total::Avg, "0"),
        ] {
            assert_eq!(over(total, &CqlType::Int, &[None]), Ok(wanted.to_owned()), "{total:?}");
        }
    }

    #[test]
    fn a_sum_that_does_not_fit_is_refused_and_its_mean_is_not() {
        let two = [Some(Value::Int(i32::MAX)), Some(Value::Int(i32::MAX))];
        let overflow = PlanError::Overflow { function: "sum", kind: CqlType::Int };
        assert_eq!(over(Total::Sum, &CqlType::Int, &two), Err(overflow));
        assert_eq!(over(Total::Avg, &CqlType::Int, &two), Ok(i32::MAX.to_string()));
        let great = [Some(Value::Double(f64::INFINITY)), Some(Value::Double(1.0))];
        assert_eq!(over(Total::Sum, &CqlType::Double, &great), Ok("Infinity".to_owned()));
    }

    #[test]
    fn order_is_that_of_the_type() {
        let texts = ["b", "", "abc"].map(|text| Some(Value::Text(text.to_owned())));
        assert_eq!(over(Total::Max, &CqlType::Text, &texts), Ok("b".to_owned()));
        assert_eq!(over(Total::Min, &CqlType::Text, &texts), Ok(String::new()));
    }

    proptest! {
        #[test]
        fn integers_are_totalled_exactly(numbers in prop::collection::vec(any::<i32>(), 1..20)) {
            let values: Vec<_> = numbers.iter().map(|number| Some(Value::Int(*number))).collect();
            let wide: Vec<i64> = numbers.iter().map(|number| i64::from(*number)).collect();
            let sum: i64 = wide.iter().sum();
            let mean = sum / i64::try_from(wide.len()).unwrap();
            let of = |total| over(total, &CqlType::Int, &values);
            prop_assert_eq!(of(Total::Avg), Ok(mean.to_string()));
            prop_assert_eq!(of(Total::Min), Ok(numbers.iter().min().unwrap().to_string()));
            prop_assert_eq!(of(Total::Max), Ok(numbers.iter().max().unwrap().to_string()));
            match i32::try_from(sum) {
                Ok(sum) => prop_assert_eq!(of(Total::Sum), Ok(sum.to_string())),
                Err(_) => prop_assert!(of(Total::Sum).is_err()),
            }
        }
    }
}

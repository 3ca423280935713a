//! Aggregates: what all rows of a result have together.
//!
//! Null counts for nothing. Of no rows `count`, `sum` and `avg` are zero, as in Cassandra, `min` and
//! `max` null. A sum is of the type of what it sums; where that cannot hold it the statement fails
//! (Cassandra's integers wrap around). Callers: `project` names them, `page` and `answer` add rows.
//! Pure.

use types::key::encode_component;
use types::{BigInt, CqlType, Decimal, NUMBER_BYTES_MAX, Order, Value, ValueError};

use super::PlanError;
use super::functions::is_number;

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

/// A sum, by the numbers that it is of.
#[derive(Debug, Clone)]
enum Sum {
    /// Of at most 64 bits: it takes 2⁶⁴ of them to overflow.
    Integers(i128),
    /// With what rounding took from it (Kahan).
    Floats { sum: f64, lost: f64 },
    /// Of any size.
    Numbers(Decimal),
}

/// Numbers whose scales differ by more are not added: the sum would be long.
const ZEROS_MAX: u32 = 10_000;

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
            Self::Sum | Self::Avg => is_number(kind),
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
        let sum = match kind {
            CqlType::Float | CqlType::Double => Sum::Floats { sum: 0.0, lost: 0.0 },
            CqlType::Varint | CqlType::Decimal => {
                Sum::Numbers(Decimal { unscaled: BigInt::default(), scale: 0 })
            }
            _ => Sum::Integers(0),
        };
        Running { total: self, kind, count: 0, best: None, sum }
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
            Total::Sum => self.encode(self.sum.clone()).map(Some),
            Total::Avg => self.encode(self.sum.clone().over(self.count.max(1))).map(Some),
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
        let added = self.sum.add(value);
        added.map_err(|source| self.refused(source))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a sum of floats is one")]
    fn encode(&self, sum: Sum) -> Result<Vec<u8>, PlanError> {
        let overflow =
            || PlanError::Overflow { function: self.total.name(), kind: self.kind.clone() };
        let value = match (&self.kind, sum) {
            (CqlType::Float, Sum::Floats { sum, .. }) => Value::Float(sum as f32),
            (_, Sum::Floats { sum, .. }) => Value::Double(sum),
            (CqlType::Decimal, Sum::Numbers(sum)) => Value::Decimal(sum),
            (_, Sum::Numbers(sum)) => Value::Varint(sum.unscaled),
            (kind, Sum::Integers(sum)) => integer(kind, sum).ok_or_else(overflow)?,
        };
        value.encode(&self.kind).map_err(|source| self.refused(source))
    }

    fn refused(&self, source: ValueError) -> PlanError {
        PlanError::Value { name: format!("{}()", self.total.name()), source }
    }
}

impl Sum {
    fn add(&mut self, value: Value) -> Result<(), ValueError> {
        match (&mut *self, value) {
            (Self::Integers(sum), Value::Tinyint(number)) => *sum += i128::from(number),
            (Self::Integers(sum), Value::Smallint(number)) => *sum += i128::from(number),
            (Self::Integers(sum), Value::Int(number)) => *sum += i128::from(number),
            (Self::Integers(sum), Value::Bigint(number)) => *sum += i128::from(number),
            (Self::Floats { .. }, Value::Float(number)) => self.add_float(number.into()),
            (Self::Floats { .. }, Value::Double(number)) => self.add_float(number),
            (Self::Numbers(sum), Value::Varint(number)) => sum.unscaled += number,
            (Self::Numbers(sum), Value::Decimal(number)) => add_decimal(sum, number)?,
            // A value of another type does not come out of its bytes.
            _ => {}
        }
        Ok(())
    }

    fn add_float(&mut self, number: f64) {
        let Self::Floats { sum, lost } = self else { return };
        let plain = *sum + number;
        // Of infinities and NaN nothing is lost that could be given back.
        if plain.is_finite() {
            let corrected = number - *lost;
            let next = *sum + corrected;
            *lost = (next - *sum) - corrected;
            *sum = next;
        } else {
            (*sum, *lost) = (plain, 0.0);
        }
    }

    /// The mean of so many.
    #[expect(clippy::cast_precision_loss, reason = "a mean of floats is as exact as they are")]
    fn over(self, count: i64) -> Self {
        match self {
            Self::Integers(sum) => Self::Integers(sum / i128::from(count)),
            Self::Floats { sum, lost } => Self::Floats { sum: sum / count as f64, lost },
            Self::Numbers(Decimal { unscaled, scale }) => {
                let unscaled = rounded(&unscaled, count, scale != 0);
                Self::Numbers(Decimal { unscaled, scale })
            }
        }
    }
}

/// An integer type's value, if the type can hold it.
fn integer(kind: &CqlType, number: i128) -> Option<Value> {
    Some(match kind {
        CqlType::Tinyint => Value::Tinyint(number.try_into().ok()?),
        CqlType::Smallint => Value::Smallint(number.try_into().ok()?),
        CqlType::Int => Value::Int(number.try_into().ok()?),
        _ => Value::Bigint(number.try_into().ok()?),
    })
}

/// Adds a decimal at the finer scale of both.
fn add_decimal(sum: &mut Decimal, number: Decimal) -> Result<(), ValueError> {
    let zeros = sum.scale.abs_diff(number.scale);
    if zeros > ZEROS_MAX {
        let kind = CqlType::Decimal;
        return Err(ValueError::TooManyDigits { kind, max: NUMBER_BYTES_MAX });
    }
    let power = BigInt::from(10).pow(zeros);
    if sum.scale < number.scale {
        sum.unscaled = &sum.unscaled * power + number.unscaled;
        sum.scale = number.scale;
    } else {
        sum.unscaled += number.unscaled * power;
    }
    Ok(())
}

/// A quotient: of decimals to the nearest at their scale, of two alike to the even one; of integers
/// without its fraction.
fn rounded(sum: &BigInt, count: i64, is_decimal: bool) -> BigInt {
    let count = BigInt::from(count);
    let quotient = sum / &count;
    let rest = sum - &quotient * &count;
    if !is_decimal || rest == BigInt::default() {
        return quotient;
    }
    let zero = BigInt::default();
    let is_negative = *sum < zero;
    let twice = if is_negative { -rest } else { rest } * 2;
    let is_odd = &quotient % 2 != zero;
    let goes_on = twice > count || (twice == count && is_odd);
    match (goes_on, is_negative) {
        (false, _) => quotient,
        (true, false) => quotient + 1,
        (true, true) => quotient - 1,
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
    fn numbers_of_any_size_keep_their_digits() {
        let decimals = ["1.5", "2.25", "-1e3"].map(|text| Value::parse(&CqlType::Decimal, text));
        let decimals = decimals.map(|value| Some(value.unwrap()));
        let of = |total, values: &[Option<Value>]| over(total, &CqlType::Decimal, values).unwrap();
        assert_eq!(of(Total::Sum, &decimals), "-996.25");
        assert_eq!(of(Total::Avg, &decimals), "-332.08");
        let halves =
            ["0.5", "0.2"].map(|text| Some(Value::parse(&CqlType::Decimal, text).unwrap()));
        assert_eq!(of(Total::Avg, &halves), "0.4", "0.35 lies between two, of which 0.4 is even");
        let great = Value::parse(&CqlType::Varint, "100000000000000000000").unwrap();
        let varints = [Some(great), Some(Value::parse(&CqlType::Varint, "-1").unwrap())];
        let of = |total| over(total, &CqlType::Varint, &varints).unwrap();
        assert_eq!(of(Total::Sum), "99999999999999999999");
        assert_eq!(of(Total::Avg), "49999999999999999999");
        let far =
            ["1", "1e-2000000000"].map(|text| Some(Value::parse(&CqlType::Decimal, text).unwrap()));
        assert!(over(Total::Sum, &CqlType::Decimal, &far).is_err(), "the sum would be endless");
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

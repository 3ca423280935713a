//! Durations: months, days and nanoseconds, which do not add up to each other.
//!
//! Three numbers as signed variable-length integers: zigzag, then big endian behind as many leading
//! ones as there are further bytes. They have no order, for a month has no length.
//!
//! ```text
//! 1mo2d3ns    02 04 06
//! ```
//!
//! Source: native protocol v5, §3 and §6. Callers: [`value`](crate::Value),
//! [`literal`](crate::literal). Pure.

use std::fmt;

use crate::ValueError;

/// A stretch of time. The three parts have one sign; the private fields keep it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Duration {
    months: i32,
    days: i32,
    nanos: i64,
}

const NANOS_PER_HOUR: i128 = 3_600 * 1_000_000_000;
const NANOS_PER_MINUTE: i128 = 60 * 1_000_000_000;

/// So many ones in front of zeros.
const ONES: [u8; 9] = [0, 0x80, 0xC0, 0xE0, 0xF0, 0xF8, 0xFC, 0xFE, 0xFF];

/// The units of a text with its amounts, greatest first: name, months, days, nanoseconds.
const UNITS: [(&str, i128, i128, i128); 11] = [
    ("y", 12, 0, 0),
    ("mo", 1, 0, 0),
    ("w", 0, 7, 0),
    ("d", 0, 1, 0),
    ("h", 0, 0, NANOS_PER_HOUR),
    ("m", 0, 0, NANOS_PER_MINUTE),
    ("s", 0, 0, 1_000_000_000),
    ("ms", 0, 0, 1_000_000),
    ("us", 0, 0, 1_000),
    ("µs", 0, 0, 1_000),
    ("ns", 0, 0, 1),
];

impl Duration {
    /// A duration of these parts; `None` where one is above zero and another below.
    pub fn new(months: i32, days: i32, nanos: i64) -> Option<Self> {
        let signs = [i64::from(months), i64::from(days), nanos];
        let is_mixed = signs.iter().any(|it| *it > 0) && signs.iter().any(|it| *it < 0);
        (!is_mixed).then_some(Self { months, days, nanos })
    }

    /// Whole months.
    pub fn months(&self) -> i32 {
        self.months
    }

    /// Whole days beside the months.
    pub fn days(&self) -> i32 {
        self.days
    }

    /// Nanoseconds beside the days.
    pub fn nanos(&self) -> i64 {
        self.nanos
    }

    /// Reads the bytes of a `duration`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ValueError> {
        let mut rest = bytes;
        let months = i32::try_from(take(&mut rest)?).map_err(|_| ValueError::Duration)?;
        let days = i32::try_from(take(&mut rest)?).map_err(|_| ValueError::Duration)?;
        let nanos = take(&mut rest)?;
        if !rest.is_empty() {
            return Err(ValueError::Duration);
        }
        Self::new(months, days, nanos).ok_or(ValueError::Duration)
    }

    /// Appends the bytes of the duration.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(self.months.into(), out);
        put(self.days.into(), out);
        put(self.nanos, out);
    }

    /// Reads `[-]1y2mo3w4d5h6m7s8ms9us10ns` with any of these units in this order, or ISO 8601:
    /// `P1Y2M3DT4H5M6S`, `P1W`, `P0001-02-03T04:05:06`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (sign, rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let parts = match rest.strip_prefix(['P', 'p']) {
            Some(iso) if iso.as_bytes().get(4) == Some(&b'-') => of_fields(iso)?,
            Some(iso) => of_iso(iso)?,
            None => of_units(rest, &UNITS)?,
        };
        let [months, days, nanos] = parts.map(|part| sign * part);
        Self::new(months.try_into().ok()?, days.try_into().ok()?, nanos.try_into().ok()?)
    }
}

impl fmt::Display for Duration {
    /// In CQL's units, without those of nothing: `1y2mo3d4h5m6s7ms8us9ns`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("0s");
        }
        if self.months < 0 || self.days < 0 || self.nanos < 0 {
            f.write_str("-")?;
        }
        let mut left = [
            u64::from(self.months.unsigned_abs()),
            u64::from(self.days.unsigned_abs()),
            self.nanos.unsigned_abs(),
        ];
        for (unit, months, days, nanos) in UNITS {
            if matches!(unit, "w" | "µs") {
                continue; // Weeks are shown as days, and a microsecond has two spellings.
            }
            for (left, size) in left.iter_mut().zip([months, days, nanos]) {
                let Some(size) = u64::try_from(size).ok().filter(|size| *size > 0) else {
                    continue;
                };
                if *left >= size {
                    write!(f, "{}{unit}", *left / size)?;
                    *left %= size;
                }
            }
        }
        Ok(())
    }
}

type Parts = [i128; 3];

/// Amounts with units in their order, each at most once; one at least.
fn of_units(text: &str, units: &[(&str, i128, i128, i128)]) -> Option<Parts> {
    let mut parts = Parts::default();
    let (mut rest, mut units) = (text, units);
    loop {
        let (amount, behind) = split(rest, |it| it.is_ascii_digit());
        let (name, behind) = split(behind, |it| !it.is_ascii_digit());
        let place = units.iter().position(|unit| unit.0.eq_ignore_ascii_case(name))?;
        add(&mut parts, amount, units[place])?;
        (rest, units) = (behind, &units[place + 1..]);
        if rest.is_empty() {
            return Some(parts);
        }
    }
}

/// `1Y2M3DT4H5M6S` or `1W`, after the P.
fn of_iso(text: &str) -> Option<Parts> {
    const DATE: [(&str, i128, i128, i128); 3] = [("Y", 12, 0, 0), ("M", 1, 0, 0), ("D", 0, 1, 0)];
    const TIME: [(&str, i128, i128, i128); 3] =
        [("H", 0, 0, NANOS_PER_HOUR), ("M", 0, 0, NANOS_PER_MINUTE), ("S", 0, 0, 1_000_000_000)];
    if text.ends_with(['W', 'w']) {
        return of_units(text, &[("W", 0, 7, 0)]);
    }
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = Parts::default();
    if !date.is_empty() || time.is_none() {
        parts = of_units(date, &DATE)?;
    }
    if let Some(time) = time {
        parts[2] = of_units(time, &TIME)?[2];
    }
    Some(parts)
}

/// `YYYY-MM-DDThh:mm:ss`, after the P.
fn of_fields(text: &str) -> Option<Parts> {
    let mut fields = text.split(['-', 'T', 't', ':']);
    let mut parts = Parts::default();
    for (len, unit) in [(4, 0), (2, 1), (2, 3), (2, 4), (2, 5), (2, 6)] {
        let field = fields.next().filter(|field| field.len() == len)?;
        add(&mut parts, field, UNITS[unit])?;
    }
    let is_formed = text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte.eq_ignore_ascii_case(&b'T'),
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    (is_formed && fields.next().is_none()).then_some(parts)
}

fn add(parts: &mut Parts, amount: &str, unit: (&str, i128, i128, i128)) -> Option<()> {
    let is_number = !amount.is_empty() && amount.bytes().all(|it| it.is_ascii_digit());
    // No part can hold more, so what does not fit here is out of range anyway.
    let amount: u64 = if is_number { amount.parse().ok()? } else { return None };
    for (part, size) in parts.iter_mut().zip([unit.1, unit.2, unit.3]) {
        *part += i128::from(amount) * size;
    }
    Some(())
}

/// The text up to the first character that does not fit, and the rest.
fn split(text: &str, fits: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|it| !fits(it)).unwrap_or(text.len()))
}

fn put(number: i64, out: &mut Vec<u8>) {
    let zigzag = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let bits = (64 - zigzag.leading_zeros()).max(1);
    // Each further byte costs a bit of the first one; the ninth has eight bits like the others.
    let further = ((bits - 1) / 7).min(8) as usize;
    let bytes = zigzag.to_be_bytes();
    // Of nine bytes the first is all ones.
    let first = if further == 8 { 0 } else { bytes[7 - further] };
    out.push(ONES[further] | first);
    out.extend_from_slice(&bytes[8 - further..]);
}

fn take(input: &mut &[u8]) -> Result<i64, ValueError> {
    let (&first, rest) = input.split_first().ok_or(ValueError::Duration)?;
    let further = first.leading_ones();
    let (bytes, rest) = rest.split_at_checked(further as usize).ok_or(ValueError::Duration)?;
    *input = rest;
    let start = if further >= 7 { 0 } else { u64::from(first & (0xFF >> (further + 1))) };
    let zigzag = bytes.iter().fold(start, |number, byte| number << 8 | u64::from(*byte));
    Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn duration(months: i32, days: i32, nanos: i64) -> Duration {
        Duration::new(months, days, nanos).unwrap()
    }

    #[test]
    fn bytes_are_those_of_the_protocol() {
        for (value, bytes) in [
            (duration(0, 0, 0), &[0, 0, 0][..]),
            (duration(1, 2, 3), &[2, 4, 6]),
            (duration(-1, -2, -3), &[1, 3, 5]),
            (duration(0, 0, 64), &[0, 0, 0x80, 0x80]),
            (duration(0, 0, 8_192), &[0, 0, 0xC0, 0x40, 0]),
            (
                duration(i32::MAX, i32::MAX, i64::MAX),
                b"\xF0\xFF\xFF\xFF\xFE\xF0\xFF\xFF\xFF\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE",
            ),
            (duration(0, 0, i64::MIN), b"\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
        ] {
            let mut out = Vec::new();
            value.encode(&mut out);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(Duration::decode(bytes), Ok(value));
        }
    }

    #[test]
    fn bytes_that_are_no_duration_are_refused() {
        for bytes in [
            &[][..],
            &[0, 0],
            &[0, 0, 0x80],
            &[0, 0, 0, 0],
            &[2, 1, 0],                          // One month less a day.
            &[0xF1, 0, 0, 0, 0, 0, 0],           // 2^31 months.
            b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", // A number that ends too early.
        ] {
            assert_eq!(Duration::decode(bytes), Err(ValueError::Duration), "{bytes:x?}");
        }
    }

    #[test]
    fn every_form_of_cassandra_is_read() {
        let (minute, hour) = (60_000_000_000, 3_600_000_000_000);
        for (text, value) in [
            ("1y2mo", duration(14, 0, 0)),
            ("-1Y2MO3D", duration(-14, -3, 0)),
            ("3w1d", duration(0, 22, 0)),
            ("5h6m7s8ms9us10ns", duration(0, 0, 5 * hour + 6 * minute + 7_008_009_010)),
            ("9µs", duration(0, 0, 9_000)),
            ("0s", duration(0, 0, 0)),
            ("-9223372036854775808ns", duration(0, 0, i64::MIN)),
            ("P1Y2M3DT4H5M6S", duration(14, 3, 4 * hour + 5 * minute + 6_000_000_000)),
            ("-PT5M", duration(0, 0, -5 * minute)),
            ("p2w", duration(0, 14, 0)),
            ("P0001-02-03T04:05:06", duration(14, 3, 4 * hour + 5 * minute + 6_000_000_000)),
        ] {
            assert_eq!(Duration::parse(text), Some(value), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_duration_are_refused() {
        for text in [
            "",
            "-",
            "1",
            "d",
            "1d1y",
            "1d2d",
            "1x",
            "1 d",
            "P",
            "PT",
            "P1",
            "P1W2D",
            "P1M1Y",
            "P0001-02-03",
            "P0001-02-03T04-05:06",
            "P0001-02-03T04:05:06:07",
            "9223372036854775808ns",
            "2147483648d",
            "200000000y",
            "1us1µs1us",
            "--1d",
        ] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn durations_come_back_from_bytes_and_texts(
            months in 0..=i32::MAX, days in 0..=i32::MAX, nanos in 0..=i64::MAX,
            shift in 0..64_u32, is_negative: bool,
        ) {
            let sign = if is_negative { -1 } else { 1 };
            let shifted = |number: i32| sign * (number >> shift.min(31));
            let value =
                duration(shifted(months), shifted(days), i64::from(sign) * (nanos >> shift));
            let mut bytes = Vec::new();
            value.encode(&mut bytes);
            prop_assert_eq!(Duration::decode(&bytes), Ok(value));
            prop_assert_eq!(Duration::parse(&value.to_string()), Some(value));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            if let Ok(value) = Duration::decode(&bytes) {
                let mut out = Vec::new();
                value.encode(&mut out);
                prop_assert_eq!(Duration::decode(&out), Ok(value));
            }
        }
    }
}

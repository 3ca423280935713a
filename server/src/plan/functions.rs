//! The functions of CQL that take values and give one, and CAST.
//!
//! ```text
//! now() uuid() currenttimestamp()     new with every call
//! totimestamp(id)                     from one time to another
//! intasblob(w), blobasint(b)          bytes as they are
//! ```
//!
//! Names are Cassandra's, the older ones and those of 5.0 (`to_timestamp`). Null in, null out. What
//! is new with every call follows from the request's time and its random operation, so this code
//! draws nothing itself. Callers: `project`. Pure.

mod cast;

use std::cell::Cell;

use types::{CqlType, Value, validate};

pub(super) use cast::{cast, is_castable, is_number};

use super::PlanError;
use super::prepared::BindContext;

/// A function of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Function {
    /// A new id of the time now.
    Now,
    /// A new random id.
    Uuid,
    /// The time of the request.
    CurrentTimestamp,
    /// Its day.
    CurrentDate,
    /// Its time of day.
    CurrentTime,
    /// The day of an id or an instant, or the one given.
    ToDate(CqlType),
    /// The instant of an id, or the one given.
    ToTimestamp(CqlType),
    /// The milliseconds of an instant or of an id.
    ToUnixTimestamp(CqlType),
    /// The least id of a time.
    MinTimeuuid,
    /// The greatest id of a time.
    MaxTimeuuid,
    /// The bytes of a value.
    AsBlob,
    /// Bytes as a value of a type.
    BlobAs(CqlType),
}

/// What the calls of one request have in common.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    now_us: i64,
    operation: u64,
    /// How many ids were made.
    made: Cell<u64>,
}

/// From the epoch of an id's clock, in the year 1582, to that of Unix, in its ticks of 100 ns.
const UUID_EPOCH: i64 = 0x01B2_1DD2_1381_4000;
const TICKS_PER_MS: i64 = 10_000;
const TICKS_PER_US: i64 = 10;
const US_PER_MS: i64 = 1_000;
const NANOS_PER_US: i64 = 1_000;
const MS_PER_DAY: i64 = 86_400_000;
/// The clock sequence and node of the least and of the greatest id of a time, each byte of which
/// compares as a signed number.
const LEAST_NODE: [u8; 8] = [0x80; 8];
const GREATEST_NODE: [u8; 8] = [0x7F; 8];

impl Function {
    /// The function of this name for arguments of these types, and the type of what it gives; none
    /// where no function has the name.
    ///
    /// # Errors
    /// [`PlanError::Arguments`] where it takes others.
    pub(super) fn find(
        name: &str,
        arguments: &[CqlType],
    ) -> Result<Option<(Self, CqlType)>, PlanError> {
        let nothing = |found| takes(name, "nothing", arguments.is_empty(), found);
        let instant = |found: fn(CqlType) -> Self, gives| match arguments {
            [kind @ (CqlType::Timestamp | CqlType::Timeuuid | CqlType::Date)] => {
                Ok(Some((found(kind.clone()), gives)))
            }
            _ => takes(name, "one timestamp, timeuuid or date", false, (Self::Now, gives)),
        };
        let of = |kind: &CqlType, found| {
            let is_it = matches!(arguments, [only] if only == kind);
            takes(name, &format!("one {kind}"), is_it, found)
        };
        match name {
            "now" | "currenttimeuuid" | "current_timeuuid" => {
                nothing((Self::Now, CqlType::Timeuuid))
            }
            "uuid" => nothing((Self::Uuid, CqlType::Uuid)),
            "currenttimestamp" | "current_timestamp" => {
                nothing((Self::CurrentTimestamp, CqlType::Timestamp))
            }
            "currentdate" | "current_date" => nothing((Self::CurrentDate, CqlType::Date)),
            "currenttime" | "current_time" => nothing((Self::CurrentTime, CqlType::Time)),
            "todate" | "to_date" => instant(Self::ToDate, CqlType::Date),
            "totimestamp" | "to_timestamp" | "dateof" => {
                instant(Self::ToTimestamp, CqlType::Timestamp)
            }
            "tounixtimestamp" | "to_unix_timestamp" | "unixtimestampof" => {
                instant(Self::ToUnixTimestamp, CqlType::Bigint)
            }
            "mintimeuuid" | "min_timeuuid" => {
                of(&CqlType::Timestamp, (Self::MinTimeuuid, CqlType::Timeuuid))
            }
            "maxtimeuuid" | "max_timeuuid" => {
                of(&CqlType::Timestamp, (Self::MaxTimeuuid, CqlType::Timeuuid))
            }
            _ => match blob_function(name) {
                Some((Self::AsBlob, kind)) => of(&kind, (Self::AsBlob, CqlType::Blob)),
                Some((function, kind)) => of(&CqlType::Blob, (function, kind)),
                None => Ok(None),
            },
        }
    }

    /// What a call gives.
    ///
    /// # Errors
    /// [`PlanError::Value`] for bytes that are no value of the type that they should be.
    pub(super) fn call(
        &self,
        arguments: &[Option<Vec<u8>>],
        calls: &Calls,
    ) -> Result<Option<Vec<u8>>, PlanError> {
        match self {
            Self::Now => return Ok(Some(calls.timeuuid().to_vec())),
            Self::Uuid => return Ok(Some(calls.uuid().to_vec())),
            Self::CurrentTimestamp => return Ok(Some(calls.now_ms().to_be_bytes().to_vec())),
            Self::CurrentDate => return Ok(Some(date(calls.now_ms()))),
            Self::CurrentTime => return Ok(Some(calls.nanos_of_day().to_be_bytes().to_vec())),
            _ => {}
        }
        let [Some(argument)] = arguments else { return Ok(None) };
        Ok(Some(match self {
            Self::ToTimestamp(of) | Self::ToUnixTimestamp(of) => {
                instant_ms(of, argument).to_be_bytes().to_vec()
            }
            Self::ToDate(of) => date(instant_ms(of, argument)),
            Self::MinTimeuuid => timeuuid_of(ticks_of_ms(number(argument)), LEAST_NODE).to_vec(),
            Self::MaxTimeuuid => {
                let next = ticks_of_ms(number(argument).wrapping_add(1));
                timeuuid_of(next.wrapping_sub(1), GREATEST_NODE).to_vec()
            }
            Self::BlobAs(kind) => {
                validate(kind, argument).map_err(|source| PlanError::Value {
                    name: format!("blobas{kind}()"),
                    source,
                })?;
                argument.clone()
            }
            // Those that take nothing have given it above.
            _ => argument.clone(),
        }))
    }
}

impl Calls {
    pub(super) fn of(request: &BindContext<'_>) -> Self {
        Self { now_us: request.now_us, operation: request.operation, made: Cell::new(0) }
    }

    fn now_ms(&self) -> i64 {
        self.now_us.div_euclid(US_PER_MS)
    }

    fn nanos_of_day(&self) -> i64 {
        self.now_us.rem_euclid(MS_PER_DAY * US_PER_MS) * NANOS_PER_US
    }

    /// Bytes that no other call gets.
    fn fresh(&self) -> [u8; 16] {
        let made = self.made.get();
        self.made.set(made.wrapping_add(1));
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.operation.to_be_bytes());
        hasher.update(&self.now_us.to_be_bytes());
        hasher.update(&made.to_be_bytes());
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }

    fn uuid(&self) -> [u8; 16] {
        uuid::Builder::from_random_bytes(self.fresh()).into_uuid().into_bytes()
    }

    fn timeuuid(&self) -> [u8; 16] {
        let mut node = [0; 8];
        node.copy_from_slice(&self.fresh()[..8]);
        node[0] = node[0] & 0x3F | 0x80; // The variant of RFC 4122.
        node[2] |= 1; // A node that is no network card.
        timeuuid_of(self.now_us.wrapping_mul(TICKS_PER_US).wrapping_add(UUID_EPOCH), node)
    }
}

/// The milliseconds since the Unix epoch of a timestamp, a timeuuid or the beginning of a date.
pub(super) fn instant_ms(kind: &CqlType, value: &[u8]) -> i64 {
    match kind {
        CqlType::Timeuuid => {
            let bytes: [u8; 8] = value.first_chunk().copied().unwrap_or_default();
            let [l0, l1, l2, l3, m0, m1, h0, h1] = bytes;
            let ticks = i64::from_be_bytes([h0 & 0x0F, h1, m0, m1, l0, l1, l2, l3]);
            ticks.wrapping_sub(UUID_EPOCH).div_euclid(TICKS_PER_MS)
        }
        CqlType::Date => match Value::decode(kind, value) {
            Ok(Value::Date(day)) => i64::from(day) * MS_PER_DAY,
            _ => 0,
        },
        _ => number(value),
    }
}

/// The day of an instant, or the last day that there is on that side.
pub(super) fn day_of_ms(ms: i64) -> i32 {
    let day = ms.div_euclid(MS_PER_DAY).clamp(i32::MIN.into(), i32::MAX.into());
    i32::try_from(day).expect("it was clamped to these bounds")
}

fn date(ms: i64) -> Vec<u8> {
    Value::Date(day_of_ms(ms)).encode(&CqlType::Date).expect("a day is a date")
}

fn ticks_of_ms(ms: i64) -> i64 {
    ms.wrapping_mul(TICKS_PER_MS).wrapping_add(UUID_EPOCH)
}

/// The id of version 1 with this time and this clock sequence and node.
fn timeuuid_of(ticks: i64, node: [u8; 8]) -> [u8; 16] {
    let [h0, h1, m0, m1, l0, l1, l2, l3] = ticks.to_be_bytes();
    let mut id = [0; 16];
    id[..8].copy_from_slice(&[l0, l1, l2, l3, m0, m1, h0 & 0x0F | 0x10, h1]);
    id[8..].copy_from_slice(&node);
    id
}

fn number(value: &[u8]) -> i64 {
    value.try_into().map_or(0, i64::from_be_bytes)
}

/// `<type>asblob` and `blobas<type>`, also with underscores.
fn blob_function(name: &str) -> Option<(Function, CqlType)> {
    let scalar = |name: &str| {
        let kind = name.parse::<CqlType>().ok().filter(|_| !name.contains('<'));
        kind.filter(|kind| *kind != CqlType::Blob)
    };
    if let Some(kind) = name.strip_suffix("_as_blob").or_else(|| name.strip_suffix("asblob")) {
        return Some((Function::AsBlob, scalar(kind)?));
    }
    let kind = name.strip_prefix("blob_as_").or_else(|| name.strip_prefix("blobas"))?;
    let kind = scalar(kind)?;
    Some((Function::BlobAs(kind.clone()), kind))
}

fn takes<T>(name: &str, takes: &str, is_it: bool, found: T) -> Result<Option<T>, PlanError> {
    if is_it {
        return Ok(Some(found));
    }
    Err(PlanError::Arguments { function: name.to_owned(), takes: takes.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{Fixture, hex};

    fn call(name: &str, kind: &CqlType, argument: &[u8]) -> Option<Vec<u8>> {
        let (function, _) = Function::find(name, std::slice::from_ref(kind)).unwrap().unwrap();
        let fixture = Fixture::new();
        function.call(&[Some(argument.to_vec())], &Calls::of(&fixture.request())).unwrap()
    }

    /// 2024-01-01 00:00:00.123 in each form, made by another implementation.
    #[test]
    fn an_id_tells_its_time_and_bounds_enclose_it() {
        const MS: i64 = 1_704_067_200_123;
        let id = uuid::Uuid::parse_str("b4df44b1-a838-11ee-8d52-0242ac120002").unwrap();
        let ms = call("totimestamp", &CqlType::Timeuuid, id.as_bytes()).unwrap();
        assert_eq!(ms, 1_704_067_200_123_i64.to_be_bytes());
        let stamp = MS.to_be_bytes();
        let least = call("mintimeuuid", &CqlType::Timestamp, &stamp).unwrap();
        let greatest = call("maxtimeuuid", &CqlType::Timestamp, &stamp).unwrap();
        assert_eq!(hex(&least), "b4df44b0a83811ee8080808080808080");
        assert_eq!(hex(&greatest), "b4df6bbfa83811ee7f7f7f7f7f7f7f7f");
    }

    #[test]
    fn ids_differ_and_have_their_versions() {
        let fixture = Fixture::new();
        let calls = Calls::of(&fixture.request());
        let make = |name| {
            let (function, _) = Function::find(name, &[]).unwrap().unwrap();
            let bytes = function.call(&[], &calls).unwrap().unwrap();
            uuid::Uuid::from_slice(&bytes).unwrap()
        };
        assert_ne!(make("now"), make("now"));
        assert_ne!(make("uuid"), make("uuid"));
        assert_eq!((make("now").get_version_num(), make("uuid").get_version_num()), (1, 4));
        let id = make("now").into_bytes();
        let ms = crate::plan::fixture::NOW_US / 1_000;
        assert_eq!(instant_ms(&CqlType::Timeuuid, &id), ms);
    }

    #[test]
    fn days_and_times_are_those_of_the_request() {
        let fixture = Fixture::new();
        let calls = Calls::of(&fixture.request());
        let shown = |name: &str| {
            let (function, kind) = Function::find(name, &[]).unwrap().unwrap();
            let bytes = function.call(&[], &calls).unwrap().unwrap();
            Value::decode(&kind, &bytes).unwrap().plain().to_string()
        };
        assert_eq!(shown("currentdate"), "2023-11-14");
        assert_eq!(shown("current_time"), "22:13:20.000000000");
        assert_eq!(shown("currenttimestamp"), "2023-11-14 22:13:20.000+0000");
        let before = call("todate", &CqlType::Timestamp, &(-1_i64).to_be_bytes()).unwrap();
        assert_eq!(Value::decode(&CqlType::Date, &before), Ok(Value::Date(-1)));
        let ms = call("tounixtimestamp", &CqlType::Date, &before).unwrap();
        assert_eq!(ms, (-86_400_000_i64).to_be_bytes());
    }

    #[test]
    fn bytes_are_a_value_only_where_they_are_one() {
        assert_eq!(call("intasblob", &CqlType::Int, &[0, 0, 0, 1]), Some(vec![0, 0, 0, 1]));
        assert_eq!(call("blob_as_int", &CqlType::Blob, &[0, 0, 0, 1]), Some(vec![0, 0, 0, 1]));
        let (function, kind) = Function::find("blobasint", &[CqlType::Blob]).unwrap().unwrap();
        assert_eq!(kind, CqlType::Int);
        let fixture = Fixture::new();
        let calls = Calls::of(&fixture.request());
        assert!(function.call(&[Some(vec![1])], &calls).is_err());
        assert_eq!(function.call(&[None], &calls), Ok(None));
        assert_eq!(Function::find("blobasnothing", &[CqlType::Blob]), Ok(None));
        assert!(Function::find("intasblob", &[CqlType::Text]).is_err());
    }
}

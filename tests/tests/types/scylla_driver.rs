//! The `scylla` crate.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::cluster::metadata::ColumnType;
use scylla::deserialize::value::DeserializeValue;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::CellWriter;
use scylla::statement::Statement;
use scylla::value::{
    CqlDate, CqlDecimal, CqlDuration, CqlTime, CqlTimestamp, CqlTimeuuid, CqlVarint,
};
use starling_tests::place::CQL_PORT;
use starling_tests::{Client, Cluster};
use types::{CqlType, Value};
use uuid::Uuid;

use super::{TABLES, cell, shown};

/// Statements above this length are refused.
const LITERAL_MAX: usize = 900_000;
/// More elements than two bytes can count.
const MANY: i32 = 70_000;

type Triple = (Option<i32>, Option<String>, Option<f64>);
type Deep = (Option<i8>, Option<(Option<String>, Option<Vec<u8>>)>, Option<Vec<i32>>);

/// A driver, and a client that sees the bytes.
struct Trip {
    session: Session,
    client: Client,
    /// What stands behind CREATE TABLE.
    options: &'static str,
    tables: usize,
}

/// A value of the driver that borrows from no answer.
trait Driven: SerializeValue + for<'f, 'm> DeserializeValue<'f, 'm> {}
impl<T: SerializeValue + for<'f, 'm> DeserializeValue<'f, 'm>> Driven for T {}

impl Trip {
    async fn begin(cluster: &Cluster, options: &'static str) -> Result<Self> {
        let contact = format!("{}:{CQL_PORT}", cluster.addresses()[0]);
        let session = SessionBuilder::new().known_node(contact).build().await?;
        let keyspace = "CREATE KEYSPACE rust WITH replication = \
                        {'class': 'SimpleStrategy', 'replication_factor': 1}";
        session.query_unpaged(Statement::new(keyspace), ()).await?;
        Ok(Self { session, client: cluster.nodes()[0].client()?, options, tables: 0 })
    }

    /// Null and these values, in a table with a column of this type.
    async fn of<T: Driven>(&mut self, kind: &str, values: &[T]) -> Result<()> {
        self.run(kind, values).await.with_context(|| kind.to_owned())
    }

    async fn run<T: Driven>(&mut self, kind: &str, values: &[T]) -> Result<()> {
        let table = format!("rust.t{}", self.tables);
        self.tables += 1;
        let create = format!("CREATE TABLE {table} (k int PRIMARY KEY, v {kind}){}", self.options);
        self.session.query_unpaged(Statement::new(create), ()).await?;
        let insert = self.session.prepare(format!("INSERT INTO {table} (k, v) VALUES (?, ?)"));
        let insert = insert.await?;
        let theirs = insert.get_variable_col_specs().get_by_index(1).context("two markers")?;
        let theirs = theirs.typ().clone();
        let select = self.session.prepare(format!("SELECT v FROM {table} WHERE k = ?")).await?;
        let kind: CqlType = kind.parse()?;

        self.session.execute_unpaged(&insert, (-1, None::<&T>)).await?;
        ensure!(cell(&mut self.client, &format!("SELECT v FROM {table} WHERE k = -1"))?.is_none());
        for (key, value) in (0_i32..).step_by(2).zip(values) {
            let encoded = encoded(value, &theirs)?.context("a value is not null")?;
            // A collection that is not frozen has no empty value.
            let is_null = kind.is_unfrozen_collection() && encoded == [0; 4];
            let wanted = (!is_null).then_some(encoded);
            self.session.execute_unpaged(&insert, (key, value)).await?;
            let rows = self.session.execute_unpaged(&select, (key,)).await?.into_rows_result()?;
            let (read,) = rows.single_row::<(Option<T>,)>()?;
            let read = read.map(|read| self::encoded(&read, &theirs)).transpose()?.flatten();
            compare("read back", read.as_deref(), wanted.as_deref())?;
            let sent = cell(&mut self.client, &format!("SELECT v FROM {table} WHERE k = {key}"))?;
            compare("sent", sent.as_deref(), wanted.as_deref())?;

            let Some(wanted) = wanted else { continue };
            let literal = Value::decode(&kind, &wanted)?.to_string();
            if literal.len() > LITERAL_MAX {
                continue;
            }
            let key = key + 1;
            self.client.run(&format!("INSERT INTO {table} (k, v) VALUES ({key}, {literal})"))?;
            let sent = cell(&mut self.client, &format!("SELECT v FROM {table} WHERE k = {key}"))?;
            compare(&literal, sent.as_deref(), Some(&wanted))?;
        }
        Ok(())
    }
}

/// What the driver encodes; none for null.
fn encoded<T: SerializeValue>(value: &T, kind: &ColumnType<'_>) -> Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    value.serialize(kind, CellWriter::new(&mut out))?;
    let (length, bytes) = out.split_first_chunk::<4>().context("a length")?;
    Ok((i32::from_be_bytes(*length) >= 0).then(|| bytes.to_vec()))
}

fn compare(what: &str, ours: Option<&[u8]>, theirs: Option<&[u8]>) -> Result<()> {
    let what = what.chars().take(80).collect::<String>();
    let (sent, encoded) = (shown(ours), shown(theirs));
    ensure!(ours == theirs, "{what}: {sent}, the driver encodes {encoded}");
    Ok(())
}

fn decimal(unscaled: &[u8], scale: i32) -> CqlDecimal {
    CqlDecimal::from_signed_be_bytes_slice_and_exponent(unscaled, scale)
}

fn duration(months: i32, days: i32, nanoseconds: i64) -> CqlDuration {
    CqlDuration { months, days, nanoseconds }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn the_scylla_driver_reads_back_every_scalar_as_it_encodes_it() -> Result<()> {
    for options in TABLES {
        scalars_come_back(options).await.with_context(|| format!("tables{options}"))?;
    }
    Ok(())
}

async fn scalars_come_back(options: &'static str) -> Result<()> {
    let cluster = Cluster::builder("types_scalars").nodes(1).seeds(0).start()?;
    let mut trip = Trip::begin(&cluster, options).await?;
    let uuids = [0, u128::MAX, 0x550e_8400_e29b_41d4_a716_4466_5544_0000].map(Uuid::from_u128);
    let timeuuids = [0x1000_8080_8080_8080_8080, 0x1fff_8080_8080_8080_8080_u128]
        .map(|id| CqlTimeuuid::from_u128(id | 0xFFFF_FFFF_FFFF_0000 << 64));
    let addresses = ["0.0.0.0", "255.255.255.255", "::", "::1", "::ffff:1.2.3.4", "2001:db8::ff"];
    let addresses = addresses.map(|address| address.parse::<IpAddr>().expect("an address"));
    let long = "7f".repeat(416); // A varint of 1 002 digits.
    let long = super::unhex(&long)?;
    let varints = [&[0][..], &[0xFF], &[0x7F], &[0, 0x80], &[0x80], &[0xFF, 0x7F], &long];
    let varints = varints.map(CqlVarint::from_signed_bytes_be_slice);
    let decimals = [
        decimal(&[0], 0),
        decimal(&[0], 5),
        decimal(&[0], -5),
        decimal(&[0, 0x96], 2),
        decimal(&[0xFF, 0x6A], 2),
        decimal(&[1], i32::MAX),
        decimal(&[0xFF], i32::MIN + 2),
        decimal(&long, -1_000),
    ];
    let durations = [
        duration(0, 0, 0),
        duration(1, 2, 3),
        duration(-1, -2, -3),
        duration(i32::MAX, i32::MAX, i64::MAX),
        duration(i32::MIN, i32::MIN, i64::MIN),
    ];

    trip.of("ascii", &texts(&["", "it's", "\0\x7f"])).await?;
    trip.of("text", &texts(&["", "é☃𝄞", "\0", &"x".repeat(1 << 20)])).await?;
    trip.of("blob", &[vec![], vec![0], (0..=255).collect::<Vec<u8>>(), vec![255; 1 << 20]]).await?;
    trip.of("boolean", &[true, false]).await?;
    trip.of("tinyint", &[0, 1, -1, i8::MAX, i8::MIN]).await?;
    trip.of("smallint", &[0, 1, -1, i16::MAX, i16::MIN]).await?;
    trip.of("int", &[0, 1, -1, i32::MAX, i32::MIN]).await?;
    trip.of("bigint", &[0, 1, -1, i64::MAX, i64::MIN]).await?;
    trip.of("varint", &varints).await?;
    trip.of("decimal", &decimals).await?;
    let (least, nan) = (f64::from_bits(1), f64::NAN);
    let infinity = f64::INFINITY;
    trip.of("double", &[0.0, -0.0, 0.1, least, f64::MIN, f64::MAX, infinity, -infinity, nan])
        .await?;
    let (least, nan) = (f32::from_bits(1), f32::NAN);
    let infinity = f32::INFINITY;
    trip.of("float", &[0.0, -0.0, 0.1, least, f32::MIN, f32::MAX, infinity, -infinity, nan])
        .await?;
    trip.of("inet", &addresses).await?;
    trip.of("date", &[0, 1, (1 << 31) - 719_528, 1 << 31, u32::MAX].map(CqlDate)).await?;
    trip.of("time", &[0, 1, 86_399_999_999_999].map(CqlTime)).await?;
    let moments = [0, -1, i64::MAX, i64::MIN, 1_709_208_000_000, -62_167_219_200_001];
    trip.of("timestamp", &moments.map(CqlTimestamp)).await?;
    trip.of("uuid", &uuids).await?;
    trip.of("timeuuid", &timeuuids).await?;
    trip.of("duration", &durations).await?;
    drop(trip);
    cluster.finish()
}

#[tokio::test]
async fn the_scylla_driver_reads_back_every_collection_as_it_encodes_it() -> Result<()> {
    for options in TABLES {
        nested_come_back(options).await.with_context(|| format!("tables{options}"))?;
    }
    Ok(())
}

async fn nested_come_back(options: &'static str) -> Result<()> {
    let cluster = Cluster::builder("types_nested").nodes(1).seeds(0).start()?;
    let mut trip = Trip::begin(&cluster, options).await?;
    let set = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<_>>();

    let lists = [vec![], vec![1], vec![3, 1, 2, 1], (0..MANY).collect()];
    trip.of("list<int>", &lists).await?;
    trip.of("frozen<list<int>>", &lists).await?;
    trip.of("list<text>", &[texts(&["", "a", ""])]).await?;
    let sets = [BTreeSet::new(), BTreeSet::from([-1, 0, 1]), (-MANY..0).collect()];
    trip.of("set<int>", &sets).await?;
    trip.of("frozen<set<int>>", &sets).await?;
    trip.of("set<text>", &[set(&["", "a", "aa", "é"])]).await?;
    let maps = [
        BTreeMap::new(),
        BTreeMap::from([(-1, "a".to_owned()), (0, String::new())]),
        (0..MANY).map(|n| (n, n.to_string())).collect(),
    ];
    trip.of("map<int, text>", &maps).await?;
    trip.of("frozen<map<int, text>>", &maps).await?;
    let nested = vec![BTreeMap::from([(1, set(&["b", "a"])), (2, set(&[]))]), BTreeMap::new()];
    trip.of("list<frozen<map<int, frozen<set<text>>>>>", &[nested]).await?;
    let durations = BTreeMap::from([(1, duration(1, 0, 0)), (2, duration(0, 0, -1))]);
    trip.of("map<int, duration>", &[durations]).await?;

    let triples: [Triple; 3] = [
        (Some(1), Some("a".to_owned()), Some(1.5)),
        (None, Some(String::new()), None),
        (None, None, None),
    ];
    trip.of("tuple<int, text, double>", &triples).await?;
    trip.of("frozen<tuple<int, text, double>>", &triples).await?;
    trip.of("list<frozen<tuple<int, text, double>>>", &[triples.to_vec()]).await?;
    let deep: [Deep; 3] = [
        (Some(-1), Some((Some("a".to_owned()), Some(vec![]))), Some(vec![2, 1])),
        (None, Some((None, None)), Some(vec![])),
        (None, None, None),
    ];
    trip.of("tuple<tinyint, tuple<text, blob>, list<int>>", &deep).await?;
    drop(trip);
    cluster.finish()
}

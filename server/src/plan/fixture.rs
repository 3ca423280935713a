//! A small cluster to plan against, and the other end of the wire: values that come, rows that go.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use repair::version::{Actor, Column, Dot, Expiry, Siblings, Version, VersionVector, Write};
use ring::register::{Acceptors, ChangeId, Stores};
use ring::{HostId, StoreId};
use tokio_util::codec::Decoder;
use types::{Consistency, CqlType};
use uuid::Uuid;

use super::{Answer, BindContext, Changes, Limits, LocalNode, Plan, PlanError, Prepared, prepare};
use crate::cluster::Told;
use crate::config::Config;
use crate::coord::RowChange;
use crate::metadata::{
    Change, ClusterMetadata, Conflict, Founding, Member, Secret, Secrets, Snapshot, Table,
};
use crate::store::keys::RowKey;

/// The time of every request that does not say another.
pub(super) const NOW_US: i64 = 1_700_000_000_000_000;

/// Keyspace `app` on three nodes in two data centers; a fourth came later and owns nothing.
pub(super) struct Fixture {
    pub(super) snapshot: Snapshot,
    pub(super) local: LocalNode,
    pub(super) told: BTreeMap<HostId, Told>,
    pub(super) limits: Limits,
}

const DEFINITIONS: &[&str] = &[
    "CREATE KEYSPACE app WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
    "CREATE TABLE app.t (k int PRIMARY KEY, v text, w int, tags set<text>) WITH comment = 'x'",
    "CREATE TABLE app.lines (p int, c int, d text, v text, PRIMARY KEY (p, c, d)) \
     WITH CLUSTERING ORDER BY (c DESC, d ASC)",
    "CREATE TABLE app.pairs (a text, b blob, v text, PRIMARY KEY ((a, b)))",
    "CREATE TABLE app.things (id text PRIMARY KEY, int int, bigint bigint, text text, blob blob, \
     boolean boolean, uuid uuid, timestamp timestamp, tags set<text>)",
    "CREATE TABLE app.bags (k int PRIMARY KEY, s set<text>, m map<text, int>, l list<text>, \
     f frozen<set<text>>, v text)",
];

impl Fixture {
    pub(super) fn new() -> Self {
        let mut value = founded();
        for host in [2, 3] {
            apply(&mut value, &Change::Join(member(host)));
        }
        let mut fixture = Self {
            snapshot: Snapshot::new(value).unwrap(),
            local: local(),
            told: BTreeMap::new(),
            limits: Limits::of(&Config::default()),
        };
        for definition in DEFINITIONS {
            fixture.define(definition);
        }
        fixture.change(&Change::Join(member(4)));
        fixture
    }

    /// Carries out a statement about the schema.
    pub(super) fn define(&mut self, text: &str) {
        let Ok(Plan::Schema(plan)) = self.plan(text) else { panic!("{text}") };
        self.change(&plan.change);
    }

    /// Makes a table that was defined one of last-write-wins, as if it had been from the start.
    pub(super) fn make_lww(mut self, table: &str) -> Self {
        let tables = &mut self.snapshot.keyspaces.get_mut("app").unwrap().tables;
        Arc::make_mut(tables.get_mut(table).unwrap()).conflict = Conflict::Lww;
        self
    }

    fn change(&mut self, change: &Change) {
        let mut value = self.snapshot.value.clone();
        apply(&mut value, change);
        self.snapshot = Snapshot::new(value).unwrap();
    }

    pub(super) fn request(&self) -> BindContext<'_> {
        BindContext {
            now_us: NOW_US,
            write_time_us: NOW_US + 1,
            client_timestamp_us: None,
            operation: 0x0ABC_0000_0000_1234,
            consistency: Consistency::Quorum,
            page_size: None,
            paging_state: None,
            snapshot: &self.snapshot,
            local: &self.local,
            told: &self.told,
            limits: &self.limits,
        }
    }

    pub(super) fn prepare(&self, text: &str) -> Result<Prepared, PlanError> {
        let statement = sql::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        prepare(&statement, Some("app"), &self.snapshot)
    }

    pub(super) fn plan(&self, text: &str) -> Result<Plan, PlanError> {
        self.plan_with(text, &[])
    }

    pub(super) fn plan_with(&self, text: &str, values: &[Sent<'_>]) -> Result<Plan, PlanError> {
        self.plan_of(text, values, &self.request())
    }

    pub(super) fn plan_of(
        &self,
        text: &str,
        sent: &[Sent<'_>],
        request: &BindContext<'_>,
    ) -> Result<Plan, PlanError> {
        self.prepare(text)?.bind(&values(sent), request)
    }
}

fn founded() -> ClusterMetadata {
    let secrets = Secrets { current: Secret { id: 1, key: [7; 32] }, previous: None };
    let founding = Founding {
        cluster_id: Uuid::from_u128(99),
        name: "flock".to_owned(),
        partitions: 8,
        claim_spread: 3,
        nodes_min: 1,
        member: member(1),
        secrets,
    };
    founding.value(Acceptors::formed(Stores::new([StoreId(1)]).unwrap()))
}

fn apply(value: &mut ClusterMetadata, change: &Change) {
    let id = ChangeId(u128::from(value.epoch));
    *value = change.apply(value, id).unwrap_or_else(|error| panic!("{change:?}: {error:?}"));
}

pub(super) fn member(host: u8) -> Member {
    let address = |port: u16| ([127, 0, 0, host], port).into();
    Member {
        host: HostId(Uuid::from_u128(host.into())),
        store: StoreId(host.into()),
        internode: address(7000),
        cql: address(9042),
        datacenter: if host == 3 { "dc2" } else { "dc1" }.to_owned(),
        rack: format!("r{host}"),
    }
}

fn local() -> LocalNode {
    let Member { host, internode, cql, datacenter, rack, .. } = member(1);
    LocalNode {
        host,
        cql,
        internode,
        listen: internode.ip(),
        datacenter,
        rack,
        generation: 5,
        version: "0.1.0 (abc)".to_owned(),
    }
}

/// A value as a client sends it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent<'a> {
    Null,
    Unset,
    Bytes(&'a [u8]),
    Named(&'a str, &'a [u8]),
}

/// The values of a QUERY.
pub(super) fn values(sent: &[Sent<'_>]) -> wire::Values {
    let is_named = matches!(sent.first(), Some(Sent::Named(..)));
    let mut body = BytesMut::new();
    body.put_slice(b"\0\0\0\x01x\0\x01"); // A statement, and ONE.
    body.put_u8(if is_named { 0x41 } else { 0x01 });
    body.put_u16(sent.len().try_into().unwrap());
    for one in sent {
        let bytes = match one {
            Sent::Null => Err(-1),
            Sent::Unset => Err(-2),
            Sent::Bytes(bytes) => Ok(*bytes),
            Sent::Named(name, bytes) => {
                body.put_u16(name.len().try_into().unwrap());
                body.put_slice(name.as_bytes());
                Ok(*bytes)
            }
        };
        match bytes {
            Err(sign) => body.put_i32(sign),
            Ok(bytes) => {
                body.put_i32(bytes.len().try_into().unwrap());
                body.put_slice(bytes);
            }
        }
    }
    let mut frame = BytesMut::from(&[4, 0, 0, 0, 7][..]);
    frame.put_u32(body.len().try_into().unwrap());
    frame.put_slice(&body);
    let mut codec = wire::FrameCodec::new(1 << 24);
    codec.ready(None);
    let decoded = codec.decode(&mut frame).unwrap().unwrap();
    match decoded.request.unwrap() {
        wire::Request::Query(query) => query.params.values,
        other => panic!("{other:?}"),
    }
}

/// A result as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    /// Name and type of each column.
    pub(super) columns: Vec<(String, CqlType)>,
    pub(super) rows: Vec<Vec<Option<Vec<u8>>>>,
}

impl Shown {
    /// The rows as people read them, cells parted by ` | `.
    pub(super) fn texts(&self) -> Vec<String> {
        let cell = |(cell, (_, kind)): (&Option<Vec<u8>>, &(String, CqlType))| match cell {
            None => "null".to_owned(),
            Some(bytes) => types::Value::decode(kind, bytes).unwrap().plain().to_string(),
        };
        let row = |row: &Vec<Option<Vec<u8>>>| {
            row.iter().zip(&self.columns).map(cell).collect::<Vec<_>>().join(" | ")
        };
        self.rows.iter().map(row).collect()
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// What a client reads of a result that `write` fills.
pub(super) fn shown(
    columns: &wire::Columns,
    write: impl FnOnce(&mut wire::RowsWriter<'_>),
) -> Shown {
    let mut out = BytesMut::new();
    let head = wire::RowsHead { columns, paging_state: None, skip_metadata: false };
    let mut rows = wire::ReplyWriter::new(&mut out, 0).rows(&head);
    write(&mut rows);
    rows.finish();
    let mut body = out.freeze().slice(9..);
    assert_eq!(body.get_i32(), 2, "rows");
    let columns = read_columns(&mut body);
    let count = body.get_i32();
    let row = |body: &mut Bytes| columns.iter().map(|_| read_bytes(body)).collect();
    let rows = (0..count).map(|_| row(&mut body)).collect();
    assert!(body.is_empty(), "the rows end where the frame does");
    Shown { columns, rows }
}

/// Names and types of encoded columns.
pub(super) fn specs(columns: &wire::Columns) -> Vec<(String, CqlType)> {
    shown(columns, |_| {}).columns
}

fn read_columns(body: &mut Bytes) -> Vec<(String, CqlType)> {
    let flags = body.get_i32();
    let count = body.get_i32();
    let is_of_one_table = flags & 1 == 1;
    if is_of_one_table {
        read_string(body);
        read_string(body);
    }
    let column = |body: &mut Bytes| {
        if !is_of_one_table {
            read_string(body);
            read_string(body);
        }
        (read_string(body), read_type(body))
    };
    (0..count).map(|_| column(body)).collect()
}

fn read_string(body: &mut Bytes) -> String {
    let length = body.get_u16().into();
    String::from_utf8(body.split_to(length).to_vec()).unwrap()
}

fn read_bytes(body: &mut Bytes) -> Option<Vec<u8>> {
    let length = usize::try_from(body.get_i32()).ok()?;
    Some(body.split_to(length).to_vec())
}

fn read_type(body: &mut Bytes) -> CqlType {
    let simple = match body.get_u16() {
        0x02 => "bigint",
        0x03 => "blob",
        0x04 => "boolean",
        0x06 => "decimal",
        0x07 => "double",
        0x09 => "int",
        0x0B => "timestamp",
        0x0C => "uuid",
        0x0D => "text",
        0x0E => "varint",
        0x0F => "timeuuid",
        0x10 => "inet",
        0x11 => "date",
        0x12 => "time",
        0x13 => "smallint",
        0x14 => "tinyint",
        0x15 => "duration",
        0x31 => {
            let fields = body.get_u16();
            return CqlType::Tuple((0..fields).map(|_| read_type(body)).collect());
        }
        0x20 => return CqlType::List(Box::new(read_type(body))),
        0x21 => {
            let key = Box::new(read_type(body));
            return CqlType::Map(key, Box::new(read_type(body)));
        }
        0x22 => return CqlType::Set(Box::new(read_type(body))),
        other => panic!("type {other:#x}"),
    };
    CqlType::from_str(simple).unwrap()
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let literal = types::Value::Blob(Bytes::copy_from_slice(bytes)).to_string();
    literal.trim_start_matches("0x").to_owned()
}

/// The `counter`-th write of the only store there is.
pub(super) fn dot(counter: u64) -> Dot {
    let actor = Actor { store: StoreId(1), epoch: 1 };
    Dot { actor, counter: NonZeroU64::new(counter).unwrap() }
}

/// A version with these columns, written in the microsecond of its counter.
pub(super) fn version(counter: u64, columns: &[(u32, &[u8], Expiry)]) -> Version {
    let column = |&(id, value, expiry): &(u32, _, _)| Column { id, value, expiry };
    Version {
        dot: dot(counter),
        write_time: counter.try_into().unwrap(),
        marker: Some(Expiry::Never),
        columns: columns.iter().map(column).collect(),
    }
}

/// A row of these versions, in whose history there were `counter` writes.
pub(super) fn row(counter: u64, versions: Vec<Version>) -> Siblings {
    let seen: VersionVector = NonZeroU64::new(counter).map(|_| dot(counter)).into_iter().collect();
    Siblings::from_parts(seen, versions, 0).unwrap()
}

/// A change of one row of a siblings table, and the answer to it.
#[derive(Debug)]
pub(super) struct OneWrite {
    pub(super) table: Arc<Table>,
    pub(super) key: RowKey,
    pub(super) write: Write,
    pub(super) reads_first: bool,
    pub(super) level: Consistency,
    pub(super) returning: Option<Answer>,
}

/// What a plan writes, reading nothing.
pub(super) fn changes_of(plan: Result<Plan, PlanError>) -> Changes {
    match plan {
        Ok(Plan::Write(mut plan)) => {
            assert!(plan.changes.next_read().is_none(), "it reads first: {plan:?}");
            plan.changes.finish()
        }
        other => panic!("{other:?}"),
    }
}

/// The one row that a plan changes.
pub(super) fn one_write(plan: Result<Plan, PlanError>) -> OneWrite {
    let returning = match &plan {
        Ok(Plan::Write(plan)) => plan.returning.as_ref().map(|(_, answer)| answer.clone()),
        _ => None,
    };
    let mut writes = changes_of(plan).writes;
    assert_eq!(writes.len(), 1, "{writes:?}");
    let mut partition = writes.remove(0);
    assert_eq!(partition.changes.len(), 1, "{partition:?}");
    match partition.changes.remove(0) {
        RowChange::Versioned { table, key, write, reads_first } => {
            assert_eq!(key.token(), partition.token);
            OneWrite { table, key, write, reads_first, level: partition.level, returning }
        }
        RowChange::Cells { .. } => panic!("cells of a table of last-write-wins"),
    }
}

/// Values for LIMIT, page sizes and the like: mostly small.
pub(super) fn small() -> impl Strategy<Value = u32> {
    prop_oneof![1..4_u32, 1..30_u32]
}

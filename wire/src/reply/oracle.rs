//! Our replies as other implementations read them.

use std::net::SocketAddr;

use cassandra_protocol::compression::Compression as OracleCompression;
use cassandra_protocol::consistency::Consistency as OracleConsistency;
use cassandra_protocol::frame::events as oracle;
use cassandra_protocol::frame::message_error::{ErrorType, FailureInfo};
use cassandra_protocol::frame::message_response::ResponseBody;
use cassandra_protocol::frame::message_result::{
    ColType, ColTypeOption, ColTypeOptionValue, ResResultBody,
};
use cassandra_protocol::frame::{Envelope, Opcode};
use cassandra_protocol::types::CBytesShort;
use proptest::option::of;
use proptest::prelude::*;
use scylla_cql::Consistency as ScyllaConsistency;
use scylla_cql::frame::protocol_features::ProtocolFeatures;
use scylla_cql::frame::response::error::{DbError, WriteType as ScyllaWriteType};
use scylla_cql::frame::response::result::{
    ColumnType, NativeType, Result as ScyllaResult, ResultWithDeserializedMetadata,
};
use scylla_cql::frame::response::{Response, ResponseOpcode};
use scylla_cql::frame::{
    Compression as ScyllaCompression, ResponseBodyWithExtensions, parse_response_body_extensions,
    read_response_frame,
};
use types::{Consistency, CqlType};

use super::*;
use crate::columns::ColumnSpec;
use crate::error::WriteType;
use crate::event::{Schema, StatusChange, TopologyChange};

const STREAM: i16 = 0x1234;

fn written(write: impl FnOnce(ReplyWriter<'_>)) -> BytesMut {
    let mut out = BytesMut::new();
    write(ReplyWriter::new(&mut out, STREAM));
    out
}

/// The reply as `cassandra-protocol` reads it.
fn read(bytes: &[u8]) -> (Envelope, ResponseBody) {
    let parsed = Envelope::from_buffer(bytes, OracleCompression::Lz4).unwrap();
    assert_eq!(parsed.envelope_len, bytes.len());
    let body = parsed.envelope.response_body().unwrap();
    (parsed.envelope, body)
}

fn read_result(bytes: &[u8]) -> ResResultBody {
    match read(bytes) {
        (envelope, ResponseBody::Result(result)) => {
            assert_eq!((envelope.stream_id, envelope.opcode), (STREAM, Opcode::Result));
            result
        }
        other => panic!("{other:?}"),
    }
}

/// The reply as `scylla-cql` reads it.
fn read_scylla(bytes: &[u8]) -> (ResponseBodyWithExtensions, Response) {
    let (params, opcode, body) = block_on(read_response_frame(&mut &bytes[..])).unwrap();
    assert_eq!(params.version, 0x84);
    let extended =
        parse_response_body_extensions(params.flags, Some(ScyllaCompression::Lz4), body).unwrap();
    let response = Response::deserialize(
        &ProtocolFeatures::default(),
        ResponseOpcode::try_from(opcode as u8).unwrap(),
        extended.body.clone(),
        None,
    );
    (extended, response.unwrap())
}

/// Drives a future that never waits, as one that reads from a slice.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("a slice never waits"),
    }
}

fn cql_type() -> impl Strategy<Value = CqlType> {
    let leaf = prop::sample::select(vec![
        CqlType::Ascii,
        CqlType::Bigint,
        CqlType::Blob,
        CqlType::Boolean,
        CqlType::Double,
        CqlType::Float,
        CqlType::Int,
        CqlType::Inet,
        CqlType::Timestamp,
        CqlType::Timeuuid,
        CqlType::Text,
        CqlType::Uuid,
        CqlType::Decimal,
        CqlType::Varint,
        CqlType::Date,
        CqlType::Time,
        CqlType::Smallint,
        CqlType::Tinyint,
        CqlType::Duration,
    ]);
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(CqlType::Tuple),
            inner.clone().prop_map(|of| CqlType::List(Box::new(of))),
            inner.clone().prop_map(|of| CqlType::Set(Box::new(of))),
            inner.clone().prop_map(|of| CqlType::Frozen(Box::new(of))),
            (inner.clone(), inner)
                .prop_map(|(key, value)| CqlType::Map(Box::new(key), Box::new(value))),
        ]
    })
}

/// A type's name in CQL as `cassandra-protocol` read it; `frozen` is not sent.
fn name_of(ty: &ColTypeOption) -> String {
    match (&ty.id, &ty.value) {
        (ColType::Varchar, None) => "text".into(),
        (_, Some(ColTypeOptionValue::CList(of))) => format!("list<{}>", name_of(of)),
        (_, Some(ColTypeOptionValue::CSet(of))) => format!("set<{}>", name_of(of)),
        (_, Some(ColTypeOptionValue::CMap(key, value))) => {
            format!("map<{}, {}>", name_of(key), name_of(value))
        }
        (_, Some(ColTypeOptionValue::TupleType(tuple))) => {
            let of: Vec<_> = tuple.types.iter().map(name_of).collect();
            format!("tuple<{}>", of.join(", "))
        }
        (id, None) => id.to_string().to_lowercase(),
        other => panic!("{other:?}"),
    }
}

fn name_without_frozen(ty: &CqlType) -> String {
    match ty {
        CqlType::Frozen(inner) => name_without_frozen(inner),
        CqlType::List(of) => format!("list<{}>", name_without_frozen(of)),
        CqlType::Set(of) => format!("set<{}>", name_without_frozen(of)),
        CqlType::Map(key, value) => {
            format!("map<{}, {}>", name_without_frozen(key), name_without_frozen(value))
        }
        CqlType::Tuple(of) => {
            let of: Vec<_> = of.iter().map(name_without_frozen).collect();
            format!("tuple<{}>", of.join(", "))
        }
        other => other.to_string(),
    }
}

/// Columns as a test makes them: table, name, type.
type Model = Vec<(String, String, CqlType)>;

fn model() -> impl Strategy<Value = Model> {
    prop::collection::vec(("[tu]", "[a-zü]{1,9}", cql_type()), 1..6)
}

fn encode(model: &Model) -> Columns {
    let specs =
        model.iter().map(|(table, name, ty)| ColumnSpec { keyspace: "ks", table, name, ty });
    Columns::new(&specs.collect::<Vec<_>>())
}

fn cell() -> impl Strategy<Value = Option<Vec<u8>>> {
    of(prop::collection::vec(any::<u8>(), 0..300))
}

proptest! {
    #[test]
    fn rows_are_what_we_wrote(
        (model, rows) in model().prop_flat_map(|model| {
            let row = prop::collection::vec(cell(), model.len());
            (Just(model), prop::collection::vec(row, 0..10))
        }),
        paging_state in of(prop::collection::vec(any::<u8>(), 0..20)),
        compression in prop::sample::select(vec![None, Some(Compression::Lz4)]),
    ) {
        let columns = encode(&model);
        let bytes = written(|reply| {
            let paging_state = paging_state.as_deref();
            let head = RowsHead { columns: &columns, paging_state, skip_metadata: false };
            let mut writer = reply.compressed(compression).rows(&head);
            for (at, cell) in rows.iter().flatten().enumerate() {
                match cell {
                    Some(cell) if at % 2 == 1 => writer.cell_with(|out| out.put_slice(cell)),
                    cell => writer.cell(cell.as_deref()),
                }
            }
            writer.finish();
        });

        let ResResultBody::Rows(read) = read_result(&bytes) else { panic!() };
        prop_assert_eq!(usize::try_from(read.rows_count).unwrap(), rows.len());
        let state = read.metadata.paging_state.as_ref().and_then(|state| state.as_slice());
        prop_assert_eq!(state, paging_state.as_deref());
        let global = read.metadata.global_table_spec.as_ref();
        for (spec, (table, name, ty)) in read.metadata.col_specs.iter().zip(&model) {
            let of = spec.table_spec.as_ref().or(global).unwrap();
            prop_assert_eq!((&*of.ks_name, &of.table_name), ("ks", table));
            prop_assert_eq!(&spec.name, name);
            prop_assert_eq!(name_of(&spec.col_type), name_without_frozen(ty));
        }
        let read = read.rows_content.into_iter()
            .map(|row| row.into_iter().map(cassandra_protocol::types::CBytes::into_bytes).collect())
            .collect::<Vec<Vec<_>>>();
        prop_assert_eq!(&read, &rows);

        let (_, Response::Result(result)) = read_scylla(&bytes) else { panic!() };
        let ResultWithDeserializedMetadata::Rows((raw, paging)) =
            result.deserialize_metadata().unwrap() else { panic!() };
        prop_assert_eq!(raw.rows_count(), rows.len());
        prop_assert_eq!(paging.finished(), paging_state.is_none());
        let names = raw.metadata().col_specs().iter().map(|spec| spec.name().to_owned());
        let expected = model.iter().map(|column| column.1.clone());
        prop_assert_eq!(names.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }

    #[test]
    fn prepared_is_what_we_wrote(
        id: [u8; 16],
        markers in model(),
        columns in of(model()),
        partition_key in prop::collection::vec(0..100_u16, 0..3),
    ) {
        let encoded = (encode(&markers), columns.as_ref().map(encode).unwrap_or_default());
        let bytes = written(|reply| reply.prepared(&Prepared {
            id: &id,
            markers: &encoded.0,
            partition_key: &partition_key,
            columns: &encoded.1,
        }));

        let ResResultBody::Prepared(read) = read_result(&bytes) else { panic!() };
        prop_assert_eq!(read.id, CBytesShort::new(id.to_vec()));
        let indexes = read.metadata.pk_indexes.iter().map(|at| u16::try_from(*at).unwrap());
        prop_assert_eq!(indexes.collect::<Vec<_>>(), &*partition_key);
        let names = read.metadata.col_specs.iter().map(|spec| &spec.name);
        prop_assert!(names.eq(markers.iter().map(|marker| &marker.1)));
        let names = read.result_metadata.col_specs.iter().map(|spec| &spec.name);
        prop_assert!(names.eq(columns.iter().flatten().map(|column| &column.1)));

        let (_, Response::Result(ScyllaResult::Prepared(read))) = read_scylla(&bytes) else {
            panic!()
        };
        prop_assert_eq!(&read.id[..], &id);
        prop_assert_eq!(read.prepared_metadata.col_count, markers.len());
        prop_assert_eq!(read.prepared_metadata.pk_indexes.len(), partition_key.len());
        for index in read.prepared_metadata.pk_indexes {
            prop_assert_eq!(index.index, partition_key[usize::from(index.sequence)]);
        }
        prop_assert_eq!(read.result_metadata.col_count(), columns.map_or(0, |all| all.len()));
    }

    #[test]
    fn extras_are_what_we_wrote(
        id in of(any::<u128>()),
        warnings in prop::collection::vec(".{0,9}", 0..4),
        payload in prop::collection::btree_map(".{0,9}", prop::collection::vec(any::<u8>(), 0..9), 0..4),
    ) {
        let sent = payload.iter()
            .map(|(name, value)| (ByteString::from(name.clone()), Some(Bytes::from(value.clone()))))
            .collect::<Vec<_>>();
        let id = id.map(Uuid::from_u128);
        let bytes =
            written(|reply| reply.traced(id).warned(&warnings).with_payload(&sent).set_keyspace("ks"));
        let (extras, response) = read_scylla(&bytes);
        prop_assert_eq!(extras.trace_id, id);
        prop_assert_eq!(extras.warnings, warnings);
        let read = extras.custom_payload.into_iter().flatten()
            .map(|(name, value)| (name, value.to_vec()))
            .collect::<std::collections::BTreeMap<_, _>>();
        prop_assert_eq!(read, payload);
        let Response::Result(ScyllaResult::SetKeyspace(keyspace)) = response else { panic!() };
        prop_assert_eq!(keyspace.keyspace_name, "ks");
    }

    #[test]
    fn warnings_and_tracing_are_what_we_wrote(id: u128, warnings in prop::collection::vec(".{0,9}", 0..4)) {
        let id = Uuid::from_u128(id);
        let bytes = written(|reply| reply.traced(Some(id)).warned(&warnings).ready());
        let (envelope, body) = read(&bytes);
        prop_assert_eq!(envelope.tracing_id, Some(id));
        prop_assert_eq!(envelope.warnings, warnings);
        prop_assert_eq!(body, ResponseBody::Ready);
    }
}

fn read_error(kind: ErrorKind) -> (ErrorType, DbError) {
    let number = kind.code().number();
    let bytes = written(|reply| reply.error(&ErrorReply::new(kind, "why")));
    let (_, ResponseBody::Error(read)) = read(&bytes) else { panic!() };
    assert_eq!(read.message, "why");
    assert_eq!(read.ty.to_error_code(), number);
    let (_, Response::Error(scylla)) = read_scylla(&bytes) else { panic!() };
    assert_eq!(scylla.reason, "why");
    (read.ty, scylla.error)
}

#[test]
fn errors_without_fields_are_what_we_wrote() {
    for (kind, read, scylla) in [
        (ErrorKind::Server, ErrorType::Server, DbError::ServerError),
        (ErrorKind::Protocol, ErrorType::Protocol, DbError::ProtocolError),
        (ErrorKind::BadCredentials, ErrorType::Authentication, DbError::AuthenticationError),
        (ErrorKind::Overloaded, ErrorType::Overloaded, DbError::Overloaded),
        (ErrorKind::IsBootstrapping, ErrorType::IsBootstrapping, DbError::IsBootstrapping),
        (ErrorKind::Truncate, ErrorType::Truncate, DbError::TruncateError),
        (ErrorKind::Syntax, ErrorType::Syntax, DbError::SyntaxError),
        (ErrorKind::Unauthorized, ErrorType::Unauthorized, DbError::Unauthorized),
        (ErrorKind::Invalid, ErrorType::Invalid, DbError::Invalid),
        (ErrorKind::Config, ErrorType::Config, DbError::ConfigError),
    ] {
        assert_eq!(read_error(kind), (read, scylla));
    }
}

#[test]
fn unavailable_and_timeouts_are_what_we_wrote() {
    let (consistency, received, required) = (Consistency::Quorum, 1, 2);

    let (read, scylla) = read_error(ErrorKind::Unavailable { consistency, required, alive: 1 });
    let ErrorType::Unavailable(read) = read else { panic!() };
    assert_eq!((read.cl, read.required, read.alive), (OracleConsistency::Quorum, 2, 1));
    let level = ScyllaConsistency::Quorum;
    assert_eq!(scylla, DbError::Unavailable { consistency: level, required: 2, alive: 1 });

    let write_type = WriteType::UnloggedBatch;
    let (read, scylla) =
        read_error(ErrorKind::WriteTimeout { consistency, received, required, write_type });
    let ErrorType::WriteTimeout(read) = read else { panic!() };
    assert_eq!((read.received, read.block_for), (1, 2));
    assert_eq!(read.write_type.to_string(), "UnloggedBatch");
    let expected = DbError::WriteTimeout {
        consistency: level,
        received: 1,
        required: 2,
        write_type: ScyllaWriteType::UnloggedBatch,
    };
    assert_eq!(scylla, expected);

    let (read, scylla) =
        read_error(ErrorKind::ReadTimeout { consistency, received, required, has_data: true });
    let ErrorType::ReadTimeout(read) = read else { panic!() };
    assert!(read.replica_has_responded());
    let expected =
        DbError::ReadTimeout { consistency: level, received: 1, required: 2, data_present: true };
    assert_eq!(scylla, expected);
}

#[test]
fn failures_are_what_we_wrote() {
    let (consistency, received, required, failures) = (Consistency::All, 1, 3, 2);
    let has_data = false;
    let (read, scylla) =
        read_error(ErrorKind::ReadFailure { consistency, received, required, failures, has_data });
    let ErrorType::ReadFailure(read) = read else { panic!() };
    assert_eq!(read.failure_info, FailureInfo::NumFailures(2));
    assert!(!read.replica_has_responded());
    let level = ScyllaConsistency::All;
    let expected = DbError::ReadFailure {
        consistency: level,
        received: 1,
        required: 3,
        numfailures: 2,
        data_present: false,
    };
    assert_eq!(scylla, expected);

    let write_type = WriteType::Simple;
    let (read, scylla) = read_error(ErrorKind::WriteFailure {
        consistency,
        received,
        required,
        failures,
        write_type,
    });
    let ErrorType::WriteFailure(read) = read else { panic!() };
    assert_eq!(read.failure_info, FailureInfo::NumFailures(2));
    let expected = DbError::WriteFailure {
        consistency: level,
        received: 1,
        required: 3,
        numfailures: 2,
        write_type: ScyllaWriteType::Simple,
    };
    assert_eq!(scylla, expected);
}

#[test]
fn errors_with_names_are_what_we_wrote() {
    let kind = ErrorKind::AlreadyExists { keyspace: "ks".into(), table: String::new() };
    let (ErrorType::AlreadyExists(read), scylla) = read_error(kind) else { panic!() };
    assert_eq!((&*read.ks, &*read.table), ("ks", ""));
    assert_eq!(scylla, DbError::AlreadyExists { keyspace: "ks".into(), table: String::new() });

    let id = Bytes::from_static(&[1, 2, 3]);
    let kind = ErrorKind::Unprepared { id: id.clone() };
    let (ErrorType::Unprepared(read), scylla) = read_error(kind) else { panic!() };
    assert_eq!(read.id, CBytesShort::new(id.to_vec()));
    assert_eq!(scylla, DbError::Unprepared { statement_id: id });

    let kind = ErrorKind::FunctionFailure {
        keyspace: "ks".into(),
        function: "f".into(),
        argument_types: vec!["int".into(), "text".into()],
    };
    let (ErrorType::FunctionFailure(read), _) = read_error(kind) else { panic!() };
    assert_eq!((&*read.keyspace, &*read.function), ("ks", "f"));
    assert_eq!(read.arg_types, ["int", "text"]);
}

/// `cassandra-protocol` does not know these two codes.
#[test]
fn errors_of_version_5_keep_their_codes() {
    for (kind, number) in [
        (ErrorKind::CdcWriteFailure, 0x1600),
        (
            ErrorKind::CasWriteUnknown {
                consistency: Consistency::Serial,
                received: 1,
                required: 2,
            },
            0x1700,
        ),
    ] {
        let bytes = written(|reply| reply.error(&kind.into()));
        let (_, Response::Error(read)) = read_scylla(&bytes) else { panic!() };
        assert_eq!(read.error, DbError::Other(number));
    }
}

#[test]
fn write_types_are_known_to_drivers() {
    for (write_type, scylla) in [
        (WriteType::Simple, ScyllaWriteType::Simple),
        (WriteType::Batch, ScyllaWriteType::Batch),
        (WriteType::UnloggedBatch, ScyllaWriteType::UnloggedBatch),
        (WriteType::Counter, ScyllaWriteType::Counter),
        (WriteType::BatchLog, ScyllaWriteType::BatchLog),
        (WriteType::Cas, ScyllaWriteType::Cas),
        (WriteType::View, ScyllaWriteType::View),
        (WriteType::Cdc, ScyllaWriteType::Cdc),
    ] {
        assert_eq!(write_type.name(), scylla.as_str());
    }
}

#[test]
fn consistency_levels_are_what_we_wrote() {
    for consistency in Consistency::every() {
        let kind = ErrorKind::Unavailable { consistency, required: 2, alive: 1 };
        let (ErrorType::Unavailable(read), _) = read_error(kind) else { panic!() };
        assert_eq!(i16::from(read.cl), i16::try_from(consistency.code()).unwrap());
        let name = read.cl.to_string().to_lowercase().replace('_', "");
        assert_eq!(name, consistency.name().to_lowercase().replace('_', ""));
    }
}

#[test]
fn schema_changes_are_what_we_wrote() {
    let keyspace = String::from("ks");
    let table = Schema::Table { keyspace: keyspace.clone(), table: "t".into() };
    let ty = Schema::Type { keyspace: keyspace.clone(), name: "y".into() };
    for (change, change_type, target, options) in [
        (
            SchemaChange::Created(Schema::Keyspace { keyspace: keyspace.clone() }),
            oracle::SchemaChangeType::Created,
            oracle::SchemaChangeTarget::Keyspace,
            oracle::SchemaChangeOptions::Keyspace(keyspace.clone()),
        ),
        (
            SchemaChange::Updated(table),
            oracle::SchemaChangeType::Updated,
            oracle::SchemaChangeTarget::Table,
            oracle::SchemaChangeOptions::TableType(keyspace.clone(), "t".into()),
        ),
        (
            SchemaChange::Dropped(ty),
            oracle::SchemaChangeType::Dropped,
            oracle::SchemaChangeTarget::Type,
            oracle::SchemaChangeOptions::TableType(keyspace.clone(), "y".into()),
        ),
    ] {
        let expected = oracle::SchemaChange { change_type, target, options };
        let bytes = written(|reply| reply.schema_change(&change));
        assert_eq!(read_result(&bytes), ResResultBody::SchemaChange(expected.clone()));
        assert_eq!(read_event(&Event::Schema(change)), oracle::ServerEvent::SchemaChange(expected));
    }
}

fn read_event(event: &Event) -> oracle::ServerEvent {
    let mut bytes = BytesMut::new();
    ReplyWriter::event(&mut bytes, event);
    let (envelope, ResponseBody::Event(read)) = read(&bytes) else { panic!() };
    assert_eq!((envelope.stream_id, envelope.opcode), (-1, Opcode::Event));
    read.event
}

#[test]
fn events_about_nodes_are_what_we_wrote() {
    for addr in ["127.0.0.1:9042", "[2001:db8::7]:1"] {
        let addr = addr.parse::<SocketAddr>().unwrap();
        for (change, change_type) in [
            (TopologyChange::NewNode, oracle::TopologyChangeType::NewNode),
            (TopologyChange::RemovedNode, oracle::TopologyChangeType::RemovedNode),
        ] {
            let read = read_event(&Event::Topology { change, node: addr });
            let expected = oracle::TopologyChange { change_type, addr };
            assert_eq!(read, oracle::ServerEvent::TopologyChange(expected));
        }
        for (change, change_type) in [
            (StatusChange::Up, oracle::StatusChangeType::Up),
            (StatusChange::Down, oracle::StatusChangeType::Down),
        ] {
            let read = read_event(&Event::Status { change, node: addr });
            let expected = oracle::StatusChange { change_type, addr };
            assert_eq!(read, oracle::ServerEvent::StatusChange(expected));
        }
    }
}

#[test]
fn supported_is_what_we_wrote() {
    let bytes = written(|reply| reply.supported("3.4.7"));
    let (_, Response::Supported(read)) = read_scylla(&bytes) else { panic!() };
    assert_eq!(read.options.len(), 3);
    for (name, value) in
        [("CQL_VERSION", "3.4.7"), ("COMPRESSION", "lz4"), ("PROTOCOL_VERSIONS", "4/v4")]
    {
        assert_eq!(read.options[name], [value]);
    }
}

#[test]
fn void_and_blob_columns_are_what_we_wrote() {
    let mut out = BytesMut::new();
    ReplyWriter::new(&mut out, STREAM).void();
    assert_eq!(read_result(&out), ResResultBody::Void);
    let columns = encode(&vec![("t".into(), "b".into(), CqlType::Blob)]);
    let head = RowsHead { columns: &columns, paging_state: None, skip_metadata: false };
    let bytes = written(|reply| reply.rows(&head).finish());
    let (_, Response::Result(result)) = read_scylla(&bytes) else { panic!() };
    let ResultWithDeserializedMetadata::Rows((rows, _)) = result.deserialize_metadata().unwrap()
    else {
        panic!()
    };
    let specs = rows.metadata().col_specs();
    assert_eq!(specs[0].typ(), &ColumnType::Native(NativeType::Blob));
    assert_eq!((specs[0].table_spec().ks_name(), specs[0].table_spec().table_name()), ("ks", "t"));
}

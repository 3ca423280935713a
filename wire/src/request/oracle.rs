//! Requests as other implementations write them.

use std::borrow::Cow;

use cassandra_protocol::compression::Compression as OracleCompression;
use cassandra_protocol::consistency::Consistency as OracleConsistency;
use cassandra_protocol::frame::message_batch::{
    BatchQuery, BatchQuerySubj, BatchType, BodyReqBatch,
};
use cassandra_protocol::frame::message_execute::BodyReqExecuteOwned;
use cassandra_protocol::frame::message_query::BodyReqQuery;
use cassandra_protocol::frame::{
    Direction, Envelope, Flags, Opcode, Serialize, Version, events::SimpleServerEvent,
};
use cassandra_protocol::query::{QueryParams as OracleParams, QueryValues};
use cassandra_protocol::types::value::Value as OracleValue;
use cassandra_protocol::types::{CBytes, CBytesShort};
use proptest::option::of;
use proptest::prelude::*;
use scylla_cql::frame::request::query::{PagingState, QueryParameters};
use scylla_cql::frame::request::{self as scylla, SerializableRequest};
use scylla_cql::frame::response::result::cow_bytes::CowBytes;
use scylla_cql::frame::response::result::{ColumnType, NativeType};
use scylla_cql::frame::types::SerialConsistency;
use scylla_cql::frame::{Compression as ScyllaCompression, SerializedRequest};
use scylla_cql::serialize::row::SerializedValues;

use super::*;
use crate::client::receive_one;
use crate::value::Value;

/// A value that owns its bytes.
#[derive(Debug, Clone, PartialEq)]
enum Owned {
    Null,
    Unset,
    Bytes(Vec<u8>),
}

impl Owned {
    fn of(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Unset => Self::Unset,
            Value::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }

    fn to_oracle(&self) -> OracleValue {
        match self {
            Self::Null => OracleValue::Null,
            Self::Unset => OracleValue::NotSet,
            Self::Bytes(bytes) => OracleValue::Some(bytes.clone()),
        }
    }
}

/// What all parameters of a statement are made from.
#[derive(Debug, Clone)]
struct Model {
    consistency: Consistency,
    values: Option<Vec<Owned>>,
    page_size: Option<i32>,
    paging_state: Option<Vec<u8>>,
    serial_consistency: Option<Consistency>,
    timestamp: Option<i64>,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
}

fn owned() -> impl Strategy<Value = Owned> {
    prop_oneof![Just(Owned::Null), Just(Owned::Unset), bytes().prop_map(Owned::Bytes)]
}

fn consistency() -> impl Strategy<Value = Consistency> {
    prop::sample::select(Consistency::every().collect::<Vec<_>>())
}

fn serial_consistency() -> impl Strategy<Value = Consistency> {
    prop::sample::select(vec![Consistency::Serial, Consistency::LocalSerial])
}

prop_compose! {
    fn model()(
        consistency in consistency(),
        values in of(prop::collection::vec(owned(), 0..20)),
        page_size in of(any::<i32>()),
        paging_state in of(bytes()),
        serial_consistency in of(serial_consistency()),
        timestamp in of(any::<i64>()),
    ) -> Model {
        Model { consistency, values, page_size, paging_state, serial_consistency, timestamp }
    }
}

impl Model {
    fn to_oracle(&self) -> OracleParams {
        OracleParams {
            consistency: oracle_consistency(self.consistency),
            with_names: false,
            values: self.values.as_deref().map(simple_values),
            page_size: self.page_size,
            paging_state: self.paging_state.clone().map(CBytes::new),
            serial_consistency: self.serial_consistency.map(oracle_consistency),
            timestamp: self.timestamp,
            keyspace: None,
            now_in_seconds: None,
        }
    }

    fn to_scylla(&self, skip_metadata: bool) -> QueryParameters<'static> {
        QueryParameters {
            consistency: self.consistency.code().try_into().unwrap(),
            serial_consistency: self.serial_consistency.map(|level| match level {
                Consistency::Serial => SerialConsistency::Serial,
                _ => SerialConsistency::LocalSerial,
            }),
            timestamp: self.timestamp,
            page_size: self.page_size,
            paging_state: match &self.paging_state {
                Some(state) => PagingState::new_from_raw_bytes(&state[..]),
                None => PagingState::start(),
            },
            skip_metadata,
            values: Cow::Owned(scylla_values(self.values.as_deref().unwrap_or_default())),
        }
    }

    fn assert_is(&self, params: &QueryParams) {
        assert_eq!(params.consistency, self.consistency);
        assert_values(&params.values, self.values.as_deref().unwrap_or_default());
        let page_size = self.page_size.filter(|size| *size > 0);
        assert_eq!(params.page_size.map(|size| i64::from(size.get())), page_size.map(i64::from));
        assert_eq!(params.paging_state.as_deref(), self.paging_state.as_deref());
        assert_eq!(params.serial_consistency, self.serial_consistency);
        assert_eq!(params.timestamp_us, self.timestamp);
    }
}

fn assert_values(values: &Values, expected: &[Owned]) {
    assert!(values.iter().all(|bound| bound.name.is_none()));
    assert_eq!(values.iter().map(|bound| Owned::of(bound.value)).collect::<Vec<_>>(), expected);
}

fn oracle_consistency(level: Consistency) -> OracleConsistency {
    i16::try_from(level.code()).unwrap().try_into().unwrap()
}

fn simple_values(values: &[Owned]) -> QueryValues {
    QueryValues::SimpleValues(values.iter().map(Owned::to_oracle).collect())
}

fn scylla_values(values: &[Owned]) -> SerializedValues {
    let blob = ColumnType::Native(NativeType::Blob);
    let mut serialized = SerializedValues::new();
    for value in values {
        match value {
            Owned::Null => serialized.add_value(&None::<Vec<u8>>, &blob).unwrap(),
            Owned::Unset => serialized.add_value(&scylla_cql::value::Unset, &blob).unwrap(),
            Owned::Bytes(bytes) => serialized.add_value(bytes, &blob).unwrap(),
        }
    }
    serialized
}

/// The request that another implementation has put into `envelope`.
fn decode(envelope: &Envelope, is_compressed: bool) -> Request {
    let compression = if is_compressed { OracleCompression::Lz4 } else { OracleCompression::None };
    receive_one(&envelope.encode_with(compression).unwrap()).request.unwrap()
}

/// The request that `scylla-cql` has serialized.
fn decode_scylla<R: SerializableRequest>(request: &R, is_compressed: bool) -> Request {
    let compression = is_compressed.then_some(ScyllaCompression::Lz4);
    let mut serialized = SerializedRequest::make(request, compression, true).unwrap();
    serialized.set_stream(32_767);
    let frame = receive_one(serialized.get_data());
    assert_eq!((frame.stream, frame.is_traced), (32_767, true));
    frame.request.unwrap()
}

fn envelope(opcode: Opcode, body: &impl Serialize) -> Envelope {
    let body = body.serialize_to_vec(Version::V4);
    let (version, direction) = (Version::V4, Direction::Request);
    Envelope::new(version, direction, Flags::empty(), opcode, 0, body, None, vec![])
}

proptest! {
    #[test]
    fn query_is_what_others_sent(query: String, model in model(), is_compressed: bool) {
        let body = BodyReqQuery { query: query.clone(), query_params: model.to_oracle() };
        let Request::Query(ours) = decode(&envelope(Opcode::Query, &body), is_compressed) else {
            panic!()
        };
        prop_assert_eq!(&*ours.text, &query);
        prop_assert!(!ours.params.skip_metadata);
        model.assert_is(&ours.params);
    }

    #[test]
    fn query_is_what_scylla_sent(
        query: String,
        model in model(),
        skip_metadata: bool,
        is_compressed: bool,
    ) {
        let parameters = model.to_scylla(skip_metadata);
        let request = scylla::Query { contents: Cow::Borrowed(&query), parameters };
        let Request::Query(ours) = decode_scylla(&request, is_compressed) else { panic!() };
        prop_assert_eq!(&*ours.text, &query);
        prop_assert_eq!(ours.params.skip_metadata, skip_metadata);
        model.assert_is(&ours.params);
    }

    #[test]
    fn execute_is_what_others_sent(id in bytes(), model in model(), is_compressed: bool) {
        let body = BodyReqExecuteOwned {
            id: CBytesShort::new(id.clone()),
            result_metadata_id: None,
            query_parameters: model.to_oracle(),
        };
        let Request::Execute(ours) = decode(&envelope(Opcode::Execute, &body), is_compressed) else {
            panic!()
        };
        prop_assert_eq!(&ours.id[..], &id);
        model.assert_is(&ours.params);
    }

    #[test]
    fn execute_is_what_scylla_sent(id in bytes(), model in model(), is_compressed: bool) {
        let request = scylla::execute::ExecuteV2 {
            id: CowBytes::from(&id[..]),
            result_metadata_id: None,
            parameters: model.to_scylla(false),
            tablet_version_block: None,
        };
        let Request::Execute(ours) = decode_scylla(&request, is_compressed) else { panic!() };
        prop_assert_eq!(&ours.id[..], &id);
        model.assert_is(&ours.params);
    }

    #[test]
    fn named_values_are_what_others_sent(
        named in prop::collection::btree_map("[a-zä]{1,8}", owned(), 1..10),
    ) {
        let values = named.iter().map(|(name, value)| (name.clone(), value.to_oracle())).collect();
        let body = BodyReqQuery {
            query: "Q".into(),
            query_params: OracleParams {
                with_names: true,
                values: Some(QueryValues::NamedValues(values)),
                ..OracleParams::default()
            },
        };
        let Request::Query(ours) = decode(&envelope(Opcode::Query, &body), false) else { panic!() };
        let got = ours.params.values.iter().map(|bound| {
            (bound.name.unwrap().to_owned(), Owned::of(bound.value))
        });
        prop_assert_eq!(got.collect::<BTreeMap<_, _>>(), named);
    }

    #[test]
    fn batch_is_what_others_sent(
        kind in 0..3_u8,
        statements in prop::collection::vec(
            (any::<Result<String, [u8; 16]>>(), prop::collection::vec(owned(), 0..5)),
            0..10,
        ),
        model in model(),
        is_compressed: bool,
    ) {
        let queries = statements.iter().map(|(statement, values)| BatchQuery {
            subject: match statement {
                Ok(text) => BatchQuerySubj::QueryString(text.clone()),
                Err(id) => BatchQuerySubj::PreparedId(CBytesShort::new(id.to_vec())),
            },
            values: simple_values(values),
        });
        let body = BodyReqBatch {
            batch_type: BatchType::try_from(kind).unwrap(),
            queries: queries.collect(),
            consistency: oracle_consistency(model.consistency),
            serial_consistency: model.serial_consistency.map(oracle_consistency),
            timestamp: model.timestamp,
            keyspace: None,
            now_in_seconds: None,
        };
        let Request::Batch(ours) = decode(&envelope(Opcode::Batch, &body), is_compressed) else {
            panic!()
        };
        let kinds = [BatchKind::Logged, BatchKind::Unlogged, BatchKind::Counter];
        prop_assert_eq!(ours.kind, kinds[usize::from(kind)]);
        prop_assert_eq!(ours.consistency, model.consistency);
        prop_assert_eq!(ours.serial_consistency, model.serial_consistency);
        prop_assert_eq!(ours.timestamp_us, model.timestamp);
        prop_assert_eq!(ours.statements.len(), statements.len());
        for (ours, (statement, values)) in ours.statements.iter().zip(&statements) {
            match (&ours.statement, statement) {
                (Statement::Text(ours), Ok(text)) => prop_assert_eq!(&**ours, text),
                (Statement::Prepared(ours), Err(id)) => prop_assert_eq!(&ours[..], id),
                other => panic!("{other:?}"),
            }
            assert_values(&ours.values, values);
        }
    }

    #[test]
    fn startup_and_auth_are_what_scylla_sent(
        options in prop::collection::hash_map(".{0,20}", ".{0,20}", 0..20),
        token in of(bytes()),
    ) {
        let startup = scylla::Startup {
            options: options.iter().map(|(k, v)| (Cow::Borrowed(&**k), Cow::Borrowed(&**v))).collect(),
        };
        let Request::Startup(ours) = decode_scylla(&startup, false) else { panic!() };
        prop_assert_eq!(ours.options.len(), options.len());
        for (name, option) in &options {
            prop_assert_eq!(ours.option(name), Some(&**option));
        }
        let auth = scylla::AuthResponse { response: token.clone() };
        let token = token.map(Bytes::from);
        prop_assert_eq!(decode_scylla(&auth, true), Request::AuthResponse { token });
    }
}

#[test]
fn rest_is_what_others_sent() {
    let prepare = scylla::Prepare { query: "SELECT 'ü'" };
    let expected = Request::Prepare(Prepare { text: "SELECT 'ü'".into() });
    assert_eq!(decode_scylla(&prepare, false), expected);
    assert_eq!(decode_scylla(&prepare, true), expected);
    assert_eq!(decode_scylla(&scylla::Options, false), Request::Options);
    assert_eq!(decode_scylla(&scylla::Options, true), Request::Options);

    let all = vec![
        SimpleServerEvent::TopologyChange,
        SimpleServerEvent::StatusChange,
        SimpleServerEvent::SchemaChange,
    ];
    let events = [EventKind::TopologyChange, EventKind::StatusChange, EventKind::SchemaChange];
    let register = Envelope::new_req_register(all, Version::V4);
    assert_eq!(decode(&register, true), Request::Register { events: events.into() });
}

#[test]
fn text_values_are_what_scylla_bound() {
    let mut values = SerializedValues::new();
    values.add_value(&"grün", &ColumnType::Native(NativeType::Text)).unwrap();
    let parameters = QueryParameters { values: Cow::Owned(values), ..QueryParameters::default() };
    let request = scylla::Query { contents: "Q".into(), parameters };
    let Request::Query(ours) = decode_scylla(&request, false) else { panic!() };
    let bound = ours.params.values.iter().next().unwrap();
    assert_eq!(bound.value, Value::Bytes("grün".as_bytes()));
}

//! What a client is told when the cluster goes from one state to another.

use std::net::SocketAddr;

use proptest::prelude::*;
use ring::StoreId;
use ring::Strategy as Replication;
use ring::register::{Acceptors, ChangeId, Stores};
use types::CqlType;
use uuid::Uuid;
use wire::{Schema, SchemaChange, StatusChange, TopologyChange};

use super::*;
use crate::metadata::{
    Change, ClusterMetadata, ColumnKind, Conflict, Founding, Keyspace, Member, Secret, Secrets,
    SpeculativeRetry, TableSpec,
};

const ALL: [EventKind; 3] =
    [EventKind::TopologyChange, EventKind::StatusChange, EventKind::SchemaChange];

fn host(number: u8) -> HostId {
    HostId(Uuid::from_u128(number.into()))
}

fn cql(number: u8) -> SocketAddr {
    ([127, 0, 0, number], 9042).into()
}

fn member(number: u8) -> Member {
    Member {
        host: host(number),
        store: StoreId(number.into()),
        internode: ([127, 0, 0, number], 7000).into(),
        cql: cql(number),
        datacenter: "dc".to_owned(),
        rack: "rack".to_owned(),
    }
}

/// A cluster of node 1.
pub(in crate::front) fn founded() -> ClusterMetadata {
    let founding = Founding {
        cluster_id: Uuid::from_u128(7),
        name: "flock".to_owned(),
        partitions: 8,
        claim_spread: 3,
        nodes_min: 1,
        member: member(1),
        secrets: Secrets { current: Secret { id: 0, key: [9; 32] }, previous: None },
    };
    founding.value(Acceptors::formed(Stores::new([StoreId(1)]).unwrap()))
}

pub(in crate::front) fn create_keyspace(name: &str, replication_factor: u8) -> Change {
    let keyspace = Keyspace {
        name: name.to_owned(),
        strategy: Replication::Simple { replication_factor },
        durable_writes: true,
        conflict: None,
        sloppy_quorum: None,
        tables: std::collections::BTreeMap::new(),
    };
    Change::CreateKeyspace { keyspace, if_not_exists: false }
}

fn create_table(keyspace: &str, name: &str, comment: &str) -> Change {
    let spec = TableSpec {
        keyspace: keyspace.to_owned(),
        name: name.to_owned(),
        conflict: None,
        sloppy_quorum: None,
        speculative_retry: SpeculativeRetry::DEFAULT,
        columns: vec![("k".to_owned(), ColumnKind::Partition(0), CqlType::Int)],
        comment: comment.to_owned(),
    };
    Change::CreateTable { spec, default_conflict: Conflict::Siblings, if_not_exists: false }
}

fn drop_table(keyspace: &str, name: &str) -> Change {
    Change::DropTable { keyspace: keyspace.to_owned(), name: name.to_owned(), if_exists: false }
}

pub(in crate::front) fn drop_keyspace(name: &str) -> Change {
    Change::DropKeyspace { name: name.to_owned(), if_exists: false }
}

/// A node, and the client of it that has registered.
struct World {
    cluster: Arc<Cluster>,
    value: ClusterMetadata,
    client: Subscription,
}

impl World {
    /// The client wants everything, and knows node 1 alone.
    fn new() -> Self {
        let cluster = Arc::new(Cluster::new(host(1)));
        let value = founded();
        cluster.install(Snapshot::new(value.clone()).unwrap());
        let mut client = Subscription::new(&cluster).unwrap();
        client.add(&ALL.into());
        Self { cluster, value, client }
    }

    /// The node learns of the state after all these changes at once.
    fn skip_to(&mut self, changes: &[Change]) -> &mut Self {
        for change in changes {
            let id = ChangeId(u128::from(self.value.epoch));
            self.value = change.apply(&self.value, id).unwrap();
        }
        assert!(self.cluster.install(Snapshot::new(self.value.clone()).unwrap()));
        self
    }

    /// The node hears of a state of its own making, one epoch later.
    fn see(&mut self, edit: impl FnOnce(&mut ClusterMetadata)) -> &mut Self {
        edit(&mut self.value);
        self.value.epoch += 1;
        assert!(self.cluster.install(Snapshot::new(self.value.clone()).unwrap()));
        self
    }

    fn up(&mut self, nodes: &[u8]) -> &mut Self {
        let nodes: BTreeSet<_> = nodes.iter().map(|number| host(*number)).collect();
        self.cluster.set_alive(nodes.clone());
        self.cluster.set_serving(nodes);
        self
    }

    fn told(&mut self) -> Vec<Event> {
        self.client.take()
    }
}

fn table(keyspace: &str, table: &str) -> Schema {
    Schema::Table { keyspace: keyspace.to_owned(), table: table.to_owned() }
}

fn keyspace(keyspace: &str) -> Schema {
    Schema::Keyspace { keyspace: keyspace.to_owned() }
}

fn created(schema: Schema) -> Event {
    Event::Schema(SchemaChange::Created(schema))
}

fn updated(schema: Schema) -> Event {
    Event::Schema(SchemaChange::Updated(schema))
}

fn dropped(schema: Schema) -> Event {
    Event::Schema(SchemaChange::Dropped(schema))
}

fn topology(change: TopologyChange, number: u8) -> Event {
    Event::Topology { change, node: cql(number) }
}

fn status(change: StatusChange, number: u8) -> Event {
    Event::Status { change, node: cql(number) }
}

#[test]
fn a_node_that_was_behind_tells_all_that_it_skipped() {
    let mut world = World::new();
    world.skip_to(&[
        create_keyspace("a", 1),
        create_table("a", "t", ""),
        create_keyspace("b", 1),
        create_table("b", "u", ""),
    ]);
    let expected = [keyspace("a"), table("a", "t"), keyspace("b"), table("b", "u")].map(created);
    assert_eq!(world.told(), expected);
    assert_eq!(world.told(), []);
}

#[test]
fn a_keyspace_goes_after_its_tables() {
    let mut world = World::new();
    world.skip_to(&[create_keyspace("a", 1), create_table("a", "t", "")]);
    world.told();
    world.skip_to(&[drop_keyspace("a")]);
    assert_eq!(world.told(), [table("a", "t"), keyspace("a")].map(dropped));
}

#[test]
fn a_table_made_anew_under_its_name_goes_and_comes() {
    let mut world = World::new();
    world.skip_to(&[create_keyspace("a", 1), create_table("a", "t", "")]);
    world.told();
    world.skip_to(&[drop_table("a", "t"), create_table("a", "t", "")]);
    assert_eq!(world.told(), [dropped(table("a", "t")), created(table("a", "t"))]);
}

#[test]
fn what_came_and_went_unseen_is_not_told() {
    let mut world = World::new();
    world.skip_to(&[create_keyspace("a", 1), drop_keyspace("a")]);
    assert_eq!(world.told(), []);
}

#[test]
fn options_are_updates_and_a_truncated_table_is_the_same_one() {
    let mut world = World::new();
    world.skip_to(&[create_keyspace("a", 1), create_table("a", "t", "")]);
    world.told();
    let space = |value: &mut ClusterMetadata| value.schema.keyspaces.remove("a").unwrap();
    world.see(|value| {
        let mut changed = space(value);
        changed.tables.get_mut("t").unwrap().epoch += 1;
        value.schema.keyspaces.insert("a".to_owned(), changed);
    });
    assert_eq!(world.told(), []);
    world.see(|value| {
        let mut changed = space(value);
        changed.durable_writes = false;
        changed.tables.get_mut("t").unwrap().comment = "altered".to_owned();
        value.schema.keyspaces.insert("a".to_owned(), changed);
    });
    assert_eq!(world.told(), [keyspace("a"), table("a", "t")].map(updated));
}

#[test]
fn a_node_comes_up_when_it_serves_clients_and_not_before() {
    let mut world = World::new();
    world.skip_to(&[Change::Join(member(2))]);
    assert_eq!(world.told(), [topology(TopologyChange::NewNode, 2)]);
    world.cluster.set_alive(BTreeSet::from([host(2)]));
    assert_eq!(world.told(), []);
    world.cluster.set_serving(BTreeSet::from([host(2)]));
    assert_eq!(world.told(), [status(StatusChange::Up, 2)]);
    world.up(&[]);
    assert_eq!(world.told(), [status(StatusChange::Down, 2)]);
    world.up(&[2]);
    world.cluster.set_serving(BTreeSet::new());
    assert_eq!(world.told(), [], "it was up too shortly to be told of");
}

#[test]
fn only_nodes_that_own_partitions_are_told_of() {
    let mut world = World::new();
    world.skip_to(&[create_keyspace("a", 1), Change::Join(member(2))]).up(&[2]);
    assert_eq!(world.told(), [created(keyspace("a"))]);
}

#[test]
fn a_node_that_moved_goes_at_its_old_address_and_comes_up_at_the_new_one() {
    let mut world = World::new();
    world.skip_to(&[Change::Join(member(2))]).up(&[2]);
    world.told();
    let moved = Member { cql: cql(3), internode: ([127, 0, 0, 3], 7000).into(), ..member(2) };
    world.skip_to(&[Change::Join(moved)]);
    let expected = [
        topology(TopologyChange::RemovedNode, 2),
        topology(TopologyChange::NewNode, 3),
        status(StatusChange::Up, 3),
    ];
    assert_eq!(world.told(), expected);
}

#[test]
fn a_client_hears_of_the_kinds_that_it_asked_for_from_then_on() {
    let mut world = World::new();
    world.client = Subscription::new(&world.cluster).unwrap();
    world.client.add(&BTreeSet::from([EventKind::StatusChange]));
    world.skip_to(&[Change::Join(member(2)), create_keyspace("a", 1)]).up(&[2]);
    assert_eq!(world.told(), [status(StatusChange::Up, 2)]);
    world.client.add(&BTreeSet::from([EventKind::SchemaChange]));
    world.skip_to(&[create_keyspace("b", 1)]).up(&[]);
    assert_eq!(world.told(), [status(StatusChange::Down, 2), created(keyspace("b"))]);
}

#[tokio::test]
async fn whatever_changes_wakes_the_client() {
    let mut world = World::new();
    world.skip_to(&[Change::Join(member(2))]);
    world.client.changed().await;
    assert_eq!(world.told().len(), 1);
    world.up(&[2]);
    world.client.changed().await;
    assert_eq!(world.told(), [status(StatusChange::Up, 2)]);
}

/// Names of keyspaces and tables, as a client keeps them that believes what it is told.
type Known = BTreeSet<(String, Option<String>)>;

fn believe(known: &mut Known, events: &[Event]) {
    let name = |schema: &Schema| match schema {
        Schema::Keyspace { keyspace } => (keyspace.clone(), None),
        Schema::Table { keyspace, table } => (keyspace.clone(), Some(table.clone())),
        Schema::Type { .. } => panic!("there are no types"),
    };
    for event in events {
        match event {
            Event::Schema(SchemaChange::Created(it)) => assert!(known.insert(name(it)), "{it:?}"),
            Event::Schema(SchemaChange::Dropped(it)) => assert!(known.remove(&name(it)), "{it:?}"),
            Event::Schema(SchemaChange::Updated(it)) => {
                assert!(known.contains(&name(it)), "{it:?}");
            }
            other => panic!("{other:?}"),
        }
        let has_space = |(keyspace, _): &(String, _)| known.contains(&(keyspace.clone(), None));
        assert!(known.iter().all(has_space), "a table without its keyspace: {known:?}");
    }
}

fn truth(value: &ClusterMetadata) -> Known {
    let keyspaces = value.schema.keyspaces.values();
    let names = keyspaces.flat_map(|keyspace| {
        let tables =
            keyspace.tables.keys().map(|table| (keyspace.name.clone(), Some(table.clone())));
        tables.chain([(keyspace.name.clone(), None)])
    });
    names.collect()
}

fn change() -> impl Strategy<Value = Change> {
    let names = || prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        names().prop_map(|name| create_keyspace(name, 1)),
        names().prop_map(drop_keyspace),
        (names(), names()).prop_map(|(keyspace, table)| create_table(keyspace, table, "")),
        (names(), names()).prop_map(|(keyspace, table)| drop_table(keyspace, table)),
    ]
}

proptest! {
    #[test]
    fn a_client_that_believes_all_events_knows_the_schema(
        stretches in prop::collection::vec(prop::collection::vec(change(), 0..8), 1..8),
    ) {
        let mut world = World::new();
        let mut known = Known::new();
        for changes in stretches {
            for change in changes {
                let id = ChangeId(u128::from(world.value.epoch));
                if let Ok(value) = change.apply(&world.value, id) {
                    world.value = value;
                }
            }
            world.cluster.install(Snapshot::new(world.value.clone()).unwrap());
            believe(&mut known, &world.told());
            prop_assert_eq!(&known, &truth(&world.value));
        }
    }
}

//! Trees for property tests: any that some text makes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use types::{Consistency, CqlType, Order};
use uuid::Uuid;

use crate::{
    AlterKeyspace, AlterTable, Alteration, Assignment, At, Attribute, Batch, BatchKind,
    BatchStatement, Change, ColumnDefinition, Comparison, Condition, CreateKeyspace, CreateTable,
    Delete, DropKeyspace, DropTable, InList, Insert, Literal, Marker, Name, OrderBy, PrimaryKey,
    Properties, Property, PropertyValue, Qualified, Relation, Select, Selection, Selector,
    Statement, Subject, Target, Term, TermKind, Test, TypeName, Update, Using,
};

/// Any statement but those that are known by their first words only.
pub(crate) fn statement() -> impl Strategy<Value = Statement> {
    prop_oneof![
        1 => definition(),
        2 => select_from().prop_map(Statement::Select),
        1 => insert().prop_map(Statement::Insert),
        1 => update().prop_map(Statement::Update),
        1 => delete().prop_map(Statement::Delete),
        1 => batch().prop_map(Statement::Batch),
    ]
}

fn definition() -> impl Strategy<Value = Statement> {
    let create =
        (any::<bool>(), name(), properties(1)).prop_map(|(if_not_exists, keyspace, properties)| {
            Statement::CreateKeyspace(CreateKeyspace { if_not_exists, keyspace, properties })
        });
    let alter =
        (any::<bool>(), name(), properties(1)).prop_map(|(if_exists, keyspace, properties)| {
            Statement::AlterKeyspace(AlterKeyspace { if_exists, keyspace, properties })
        });
    let drop = (any::<bool>(), name()).prop_map(|(if_exists, keyspace)| {
        Statement::DropKeyspace(DropKeyspace { if_exists, keyspace })
    });
    let drop_table = (any::<bool>(), qualified())
        .prop_map(|(if_exists, table)| Statement::DropTable(DropTable { if_exists, table }));
    prop_oneof![
        create,
        alter,
        drop,
        drop_table,
        create_table().prop_map(Statement::CreateTable),
        (any::<bool>(), qualified(), alteration()).prop_map(|(if_exists, table, alteration)| {
            Statement::AlterTable(AlterTable { if_exists, table, alteration })
        }),
        qualified().prop_map(Statement::Truncate),
        name().prop_map(Statement::Use),
    ]
}

fn alteration() -> impl Strategy<Value = Alteration> {
    let timestamp = option::of(integer_or_marker());
    prop_oneof![
        (any::<bool>(), vec(column(), 1..3))
            .prop_map(|(if_not_exists, columns)| Alteration::Add { if_not_exists, columns }),
        (any::<bool>(), vec(name(), 1..3), timestamp).prop_map(
            |(if_exists, columns, timestamp)| Alteration::Drop { if_exists, columns, timestamp }
        ),
        Just(Alteration::DropCompactStorage),
        (any::<bool>(), vec((name(), name()), 1..3))
            .prop_map(|(if_exists, columns)| Alteration::Rename { if_exists, columns }),
        (name(), type_name()).prop_map(|(column, kind)| Alteration::Retype { column, kind }),
        properties(1).prop_map(Alteration::Options),
    ]
}

fn batch() -> impl Strategy<Value = Batch> {
    let kind = select(vec![BatchKind::Logged, BatchKind::Unlogged, BatchKind::Counter]);
    let statement = prop_oneof![
        insert().prop_map(BatchStatement::Insert),
        update().prop_map(BatchStatement::Update),
        delete().prop_map(BatchStatement::Delete),
    ];
    (kind, using(), vec(statement, 0..4)).prop_map(|(kind, using, statements)| Batch {
        kind,
        using,
        statements,
    })
}

fn column() -> impl Strategy<Value = ColumnDefinition> {
    (name(), type_name(), any::<bool>()).prop_map(|(name, kind, is_static)| ColumnDefinition {
        name,
        kind,
        is_static,
    })
}

fn create_table() -> impl Strategy<Value = CreateTable> {
    let key = (vec(name(), 1..3), vec(name(), 0..3))
        .prop_map(|(partition, clustering)| PrimaryKey { partition, clustering });
    let head = (any::<bool>(), qualified(), vec(column(), 1..4), option::of(key));
    let orders = vec((name(), order()), 0..3);
    (head, orders, any::<bool>(), properties(0)).prop_map(
        |(
            (if_not_exists, table, columns, primary_key),
            clustering_order,
            compact_storage,
            properties,
        )| {
            CreateTable {
                if_not_exists,
                table,
                columns,
                primary_key,
                clustering_order,
                compact_storage,
                properties,
            }
        },
    )
}

fn properties(least: usize) -> impl Strategy<Value = Properties> {
    let value = prop_oneof![
        literal().prop_map(PropertyValue::Literal),
        name().prop_map(PropertyValue::Word),
        vec((literal(), literal()), 0..3).prop_map(PropertyValue::Map),
    ];
    vec((name(), value), least..4).prop_map(|pairs| {
        let mut properties = Properties::default();
        for (name, value) in pairs {
            if properties.find(&name.text).is_none() {
                properties.properties.push(Property { name, value });
            }
        }
        properties
    })
}

fn select_from() -> impl Strategy<Value = Select> {
    let nearest = (name(), term()).prop_map(|(column, to)| OrderBy::Nearest { column, to });
    let order_by = prop_oneof![
        3 => (name(), order()).prop_map(|(column, order)| OrderBy::Column { column, order }),
        1 => nearest,
    ];
    let head = (any::<bool>(), selections(1), qualified(), using(), any::<bool>());
    let middle = (vec(relation(), 0..3), vec(grouping(), 0..2), vec(order_by, 0..2));
    let tail = (option::of(integer_or_marker()), option::of(integer_or_marker()), any::<bool>());
    (head, middle, tail).prop_map(|(head, middle, tail)| {
        let (is_distinct, selections, table, using, is_last) = head;
        let (relations, group_by, order_by) = middle;
        let (per_partition_limit, limit, allow_filtering) = tail;
        Select {
            is_distinct,
            is_using_last: is_last && !using.is_empty() && !relations.is_empty(),
            using,
            relations,
            group_by,
            order_by,
            per_partition_limit,
            limit,
            allow_filtering,
            ..Select::new(selections, table)
        }
    })
}

fn insert() -> impl Strategy<Value = Insert> {
    let values = (vec(name(), 1..4), vec(term(), 1..4));
    (qualified(), values, any::<bool>(), using(), selections(0)).prop_map(
        |(table, (columns, values), if_not_exists, using, returning)| Insert {
            table,
            columns,
            values,
            if_not_exists,
            using,
            returning,
        },
    )
}

fn update() -> impl Strategy<Value = Update> {
    let tail = (vec(relation(), 1..3), condition(), selections(0));
    (qualified(), using(), vec(assignment(), 1..4), tail).prop_map(
        |(table, using, assignments, (relations, condition, returning))| Update {
            table,
            using,
            assignments,
            relations,
            condition,
            returning,
        },
    )
}

fn delete() -> impl Strategy<Value = Delete> {
    let tail = (vec(relation(), 1..3), condition(), selections(0));
    (vec(target(), 0..3), qualified(), using(), tail).prop_map(
        |(targets, table, using, (relations, condition, returning))| Delete {
            targets,
            table,
            using,
            relations,
            condition,
            returning,
        },
    )
}

fn using() -> impl Strategy<Value = Using> {
    let levels: Vec<_> = Consistency::every().collect();
    let context = prop_oneof![blob().prop_map(Term::from), marker().prop_map(in_term)];
    let all = (integer_or_marker(), integer_or_marker(), context, select(levels));
    all.prop_flat_map(|(ttl, timestamp, context, level)| {
        let all = vec![
            Attribute::Ttl(ttl),
            Attribute::Timestamp(timestamp),
            Attribute::Context(context),
            Attribute::Consistency(level, At::default()),
        ];
        subsequence(all, 0..=4).prop_shuffle().prop_map(|attributes| Using { attributes })
    })
}

fn assignment() -> impl Strategy<Value = Assignment> {
    let change = prop_oneof![
        term().prop_map(Change::Set),
        term().prop_map(Change::Add),
        term().prop_map(Change::Subtract),
        term().prop_map(Change::Prepend),
    ];
    prop_oneof![
        (name().prop_map(Target::Column), change),
        (target(), term().prop_map(Change::Set)),
    ]
    .prop_map(|(target, change)| Assignment { target, change })
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        name().prop_map(Target::Column),
        (name(), term()).prop_map(|(column, key)| Target::Element { column, key }),
        (name(), name()).prop_map(|(column, field)| Target::Field { column, field }),
    ]
}

fn condition() -> impl Strategy<Value = Option<Condition>> {
    prop_oneof![
        Just(None),
        Just(Some(Condition::Exists)),
        vec(relation(), 1..3).prop_map(|relations| Some(Condition::All(relations))),
    ]
}

fn relation() -> impl Strategy<Value = Relation> {
    let subject = prop_oneof![
        4 => name().prop_map(Subject::Column),
        1 => vec(name(), 1..3).prop_map(Subject::Tuple),
        1 => vec(name(), 1..3).prop_map(Subject::Token),
        1 => (name(), term()).prop_map(|(column, key)| Subject::Element { column, key }),
        1 => (name(), name()).prop_map(|(column, field)| Subject::Field { column, field }),
    ];
    let comparison = select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ]);
    let test = prop_oneof![
        4 => (comparison, term()).prop_map(|(comparison, term)| Test::Compare(comparison, term)),
        1 => marker().prop_map(|marker| Test::In(InList::Marker(marker))),
        1 => vec(term(), 0..3).prop_map(|terms| Test::In(InList::Terms(terms))),
        1 => term().prop_map(Test::Contains),
        1 => term().prop_map(Test::ContainsKey),
        1 => term().prop_map(Test::Like),
        1 => Just(Test::IsNotNull),
    ];
    (subject, test).prop_map(|(subject, test)| Relation { subject, test, at: At::default() })
}

fn selections(least: usize) -> impl Strategy<Value = Vec<Selection>> {
    let aliased = (selector(), option::of(name()))
        .prop_map(|(selector, alias)| Selection { selector, alias });
    vec(prop_oneof![1 => Just(Selector::All.into()), 4 => aliased], least..least + 3)
}

fn selector() -> impl Strategy<Value = Selector> {
    let term = term().prop_filter("a call is a selector of its own", |term| {
        !matches!(term.kind, TermKind::Call { .. })
    });
    prop_oneof![1 => term.prop_map(Selector::Term), 4 => grouping()]
}

/// A selector that a `.` or `[` may follow.
fn grouping() -> BoxedStrategy<Selector> {
    let leaf = prop_oneof![
        name().prop_map(Selector::Column),
        Just(Selector::CountRows),
        Just(Selector::call("context")),
    ];
    leaf.prop_recursive(3, 6, 3, |inner| {
        let of = inner.clone().prop_map(Box::new);
        prop_oneof![
            (function(), vec(inner, 0..3))
                .prop_map(|(function, arguments)| Selector::Call { function, arguments }),
            (of.clone(), type_name())
                .prop_map(|(selector, kind)| Selector::Cast { selector, kind }),
            (of.clone(), name()).prop_map(|(of, field)| Selector::Field { of, field }),
            (of, term()).prop_map(|(of, key)| Selector::Element { of, key }),
        ]
    })
    .boxed()
}

fn term() -> BoxedStrategy<Term> {
    let leaf = prop_oneof![literal().prop_map(Term::from), marker().prop_map(in_term)];
    leaf.prop_recursive(3, 8, 3, |inner| {
        let hint = select(vec!["int", "decimal", "list<text>", "tuple<int, vector<float, 3>>"]);
        let pair = (inner.clone(), inner.clone());
        let kind = prop_oneof![
            vec(inner.clone(), 0..3).prop_map(TermKind::List),
            vec(inner.clone(), 0..3).prop_map(TermKind::Set),
            vec(pair, 1..3).prop_map(TermKind::Map),
            vec((name(), inner.clone()), 1..3).prop_map(TermKind::Fields),
            vec(inner.clone(), 1..3).prop_map(TermKind::Tuple),
            (function(), vec(inner.clone(), 0..3))
                .prop_map(|(function, arguments)| TermKind::Call { function, arguments }),
            (hint, inner).prop_map(|(kind, term)| TermKind::Hinted {
                kind: named(kind),
                term: Box::new(term),
            }),
        ];
        kind.prop_map(Term::from)
    })
    .boxed()
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Boolean),
        "-?[0-9]{1,20}".prop_map(Literal::Integer),
        "-?[0-9]{1,5}\\.[0-9]{0,4}([eE][+-]?[0-9]{1,3})?".prop_map(Literal::Float),
        "-?(NaN|Infinity)".prop_map(Literal::Float),
        // Other forms of ISO 8601 are words, which before a colon are names of fields.
        "-?([0-9]{1,4}(mo|h|µs)|P0001-02-03T04:05:06)".prop_map(Literal::Duration),
        any::<String>().prop_map(Literal::Text),
        blob(),
        any::<[u8; 16]>().prop_map(|bytes| Literal::Uuid(Uuid::from_bytes(bytes))),
    ]
}

fn blob() -> impl Strategy<Value = Literal> {
    vec(any::<u8>(), 0..5).prop_map(|bytes| Literal::Blob(Bytes::from(bytes)))
}

fn integer_or_marker() -> impl Strategy<Value = Term> {
    prop_oneof![
        "-?[0-9]{1,9}".prop_map(|digits| Term::from(Literal::Integer(digits))),
        marker().prop_map(in_term),
    ]
}

fn marker() -> impl Strategy<Value = Marker> {
    option::of(name()).prop_map(|name| Marker { name, index: 0 })
}

fn in_term(marker: Marker) -> Term {
    TermKind::Marker(marker).into()
}

fn type_name() -> impl Strategy<Value = TypeName> {
    let texts = [
        "int",
        "text",
        "set<text>",
        "frozen<map<text, list<int>>>",
        "decimal",
        "tuple<int, text>",
        "\"Udt\"",
        "ks.udt",
        "frozen<udt>",
        "'org.example.Class'",
        "vector<float, 3>",
    ];
    select(texts.to_vec()).prop_map(named)
}

fn named(text: &str) -> TypeName {
    match text.parse::<CqlType>() {
        Ok(kind) => TypeName::Known(kind),
        Err(_) => TypeName::Other { text: text.to_owned(), at: At::default() },
    }
}

fn function() -> impl Strategy<Value = Qualified> {
    prop_oneof![
        3 => qualified(),
        1 => select(vec!["token", "now", "writetime", "sibling_count"]).prop_map(Qualified::from),
    ]
}

fn qualified() -> impl Strategy<Value = Qualified> {
    (option::of(name()), name()).prop_map(|(keyspace, name)| Qualified { keyspace, name })
}

fn name() -> impl Strategy<Value = Name> {
    let words = [
        "key",
        "select",
        "from",
        "token",
        "null",
        "json",
        "distinct",
        "exists",
        "in",
        "set",
        "as",
        "cast",
        "contains",
        "like",
        "returning",
        "ttl",
        "per",
        "group",
        "ann",
        "add",
        "apply",
        "batch",
        "compact",
        "rename",
        "to",
        "values",
        "static",
        "exists",
    ];
    prop_oneof![
        4 => "[a-z][a-z0-9_]{0,5}".prop_map(Name::new),
        1 => select(words.to_vec()).prop_map(Name::new),
        1 => "[ -~é]{1,6}".prop_map(Name::new),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    select(vec![Order::Ascending, Order::Descending])
}

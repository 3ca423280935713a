use types::Value;

use super::*;
use crate::plan::fixture::{Fixture, NOW_US, Sent, values};

/// A term for column `c` of a type, with the names and types of its markers.
fn expression(text: &str, kind: &str) -> Result<(Expression, Vec<(String, CqlType)>), PlanError> {
    let statement = sql::parse(&format!("INSERT INTO t (c) VALUES ({text})")).unwrap();
    let sql::Statement::Insert(insert) = &statement else { panic!("{text}") };
    let mut markers = Markers::of(&statement);
    let expression = markers.expression(&insert.values[0], "c", &kind.parse().unwrap())?;
    Ok((expression, markers.specs()?))
}

/// What a term is worth: its value as CQL writes it.
fn worth(text: &str, kind: &str, sent: &[Sent<'_>]) -> Result<Option<String>, PlanError> {
    let (expression, specs) = expression(text, kind)?;
    let sent = values(sent);
    let bound = BoundValues::new(&sent, &specs)?;
    Ok(match expression.bind(&bound)? {
        Bound::Value(value) => {
            Some(Value::decode(&kind.parse().unwrap(), &value).unwrap().to_string())
        }
        Bound::Null => None,
        Bound::Unset => panic!("{text} is not set"),
    })
}

fn int(bytes: &[u8; 4]) -> Sent<'_> {
    Sent::Bytes(bytes)
}

#[test]
fn markers_may_stand_at_any_depth_and_say_where() {
    let kind = "map<text, frozen<tuple<int, frozen<list<int>>, text>>>";
    let text = "{?: (?, [1, ?], null), 'a': (2, [], ?)}";
    let (_, specs) = expression(text, kind).unwrap();
    let shown: Vec<_> = specs.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    let wanted = ["key(c) text", "value(c)[0] int", "value(value(c)[1]) int", "value(c)[2] text"];
    assert_eq!(shown, wanted);
    let (seven, nine) = (7_i32.to_be_bytes(), 9_i32.to_be_bytes());
    let sent = [Sent::Bytes(b"k"), int(&seven), int(&nine), Sent::Null];
    let shown = worth(text, kind, &sent).unwrap();
    assert_eq!(shown.as_deref(), Some("{'a': (2, [], null), 'k': (7, [1, 9], null)}"));
}

#[test]
fn nulls_are_for_fields_of_tuples_only() {
    let null = |text, kind| worth(text, kind, &[Sent::Null]);
    assert_eq!(null("(?, 1)", "tuple<int, int>").unwrap().as_deref(), Some("(null, 1)"));
    for (text, kind) in
        [("[?]", "list<int>"), ("{?: 1}", "map<int, int>"), ("{1: ?}", "map<int, int>")]
    {
        assert!(matches!(null(text, kind), Err(PlanError::Null { .. })), "{text}");
    }
    let unset = worth("(?)", "tuple<int>", &[Sent::Unset]).unwrap_err();
    assert_eq!(unset, PlanError::Unset { name: "c[0]".to_owned() });
}

#[test]
fn a_collection_without_elements_is_null_unless_it_is_frozen() {
    for (text, kind) in [("[]", "list<int>"), ("{}", "set<int>"), ("{}", "map<int, int>")] {
        assert_eq!(worth(text, kind, &[]).unwrap(), None);
        assert_eq!(worth("?", kind, &[Sent::Bytes(&[0; 4])]).unwrap(), None);
        let frozen = format!("frozen<{kind}>");
        assert_eq!(worth(text, &frozen, &[]).unwrap().as_deref(), Some(text));
        let sent = worth("?", &frozen, &[Sent::Bytes(&[0; 4])]).unwrap();
        assert_eq!(sent.as_deref(), Some(text));
    }
    // A list of values to choose from may be empty without being null.
    let (list, specs) = expression("?", "list<int>").unwrap();
    let sent = values(&[Sent::Bytes(&[0; 4])]);
    let bound = BoundValues::new(&sent, &specs).unwrap();
    assert_eq!(list.bind_elements(&bound).unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn casts_say_the_type_that_a_term_has_anyway() {
    let seven = 7_i32.to_be_bytes();
    assert_eq!(worth("(int) ?", "int", &[int(&seven)]).unwrap().as_deref(), Some("7"));
    let tuple = worth("(tuple<int, text>) (1, 'a')", "tuple<int, text>", &[]).unwrap();
    assert_eq!(tuple.as_deref(), Some("(1, 'a')"));
    for (text, kind) in [("(text) 1", "int"), ("(1, 2)", "tuple<int>"), ("[1]", "set<int>")] {
        assert!(matches!(worth(text, kind, &[]), Err(PlanError::Constant { .. })), "{text}");
    }
}

#[test]
fn what_comes_with_the_request_is_put_into_order() {
    let bytes = [&2_i32.to_be_bytes()[..], b"\0\0\0\x01\x02\0\0\0\x01\x01"].concat();
    let sent = [Sent::Bytes(&bytes)];
    let shown = worth("?", "frozen<set<tinyint>>", &sent).unwrap();
    assert_eq!(shown.as_deref(), Some("{1, 2}"));
    let error = worth("?", "frozen<set<tinyint>>", &[Sent::Bytes(b"x")]).unwrap_err();
    assert!(matches!(error, PlanError::Value { .. }), "{error}");
}

/// What a term is worth in a request of the fixture.
fn called(text: &str, kind: &str, sent: &[Sent<'_>]) -> Result<Option<Vec<u8>>, PlanError> {
    let (expression, specs) = expression(text, kind)?;
    let (sent, fixture) = (values(sent), Fixture::new());
    let bound = BoundValues::new(&sent, &specs)?.calling(Calls::of(&fixture.request()));
    let worth = |bound: Bound<'_>| match bound {
        Bound::Value(value) => Some(value.into_owned()),
        _ => None,
    };
    let first = worth(expression.bind(&bound)?);
    // A call is worth the same wherever in a request it is asked for.
    assert_eq!(worth(expression.bind(&bound)?), first);
    Ok(first)
}

#[test]
fn functions_give_values_of_their_types() {
    let now_ms = (NOW_US / 1_000).to_be_bytes().to_vec();
    let seven = 7_i32.to_be_bytes();
    for (text, kind, sent, wanted) in [
        ("currenttimestamp()", "timestamp", &[][..], Some(now_ms.clone())),
        ("system.toTimestamp(now())", "timestamp", &[], Some(now_ms)),
        ("intAsBlob(7)", "blob", &[], Some(seven.to_vec())),
        ("int_as_blob(?)", "blob", &[int(&seven)], Some(seven.to_vec())),
        ("blobAsInt(0x00000007)", "int", &[], Some(seven.to_vec())),
        ("blobAsInt(intAsBlob(?))", "int", &[int(&seven)], Some(seven.to_vec())),
        ("blobAsInt(null)", "int", &[], None),
    ] {
        assert_eq!(called(text, kind, sent), Ok(wanted), "{text}");
    }
    assert_eq!(called("uuid()", "uuid", &[]).unwrap().unwrap()[6] >> 4, 4);
    assert_eq!(called("now()", "uuid", &[]).unwrap().unwrap()[6] >> 4, 1);
    let two = called("[uuid(), uuid()]", "list<uuid>", &[]).unwrap().unwrap();
    assert_ne!(two[8..24], two[28..44]);
}

#[test]
fn functions_that_do_not_fit_are_refused() {
    for (text, kind) in [
        ("now()", "int"),
        ("now(1)", "timeuuid"),
        ("nothing()", "int"),
        ("nothing(1)", "int"),
        ("other.now()", "timeuuid"),
        ("blobAsInt('text')", "int"),
        ("blobAsInt(0x00)", "int"),
        ("totimestamp(1, 2)", "timestamp"),
    ] {
        assert!(called(text, kind, &[]).is_err(), "{text}");
    }
    let text = "the place has no request to draw on";
    assert!(
        matches!(worth("now()", "timeuuid", &[]), Err(PlanError::Unsupported { .. })),
        "{text}"
    );
}

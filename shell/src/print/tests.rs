use super::*;

fn column(name: &str, kind: CqlType) -> Column {
    Column { name: name.to_owned(), kind: Some(kind) }
}

fn text(text: &str) -> Cell {
    Cell::Value(Value::Text(text.to_owned()))
}

fn number(number: i32) -> Cell {
    Cell::Value(Value::Int(number))
}

fn page(rows: Vec<Vec<Cell>>) -> Page {
    let columns = vec![column("k", CqlType::Int), column("name", CqlType::Text)];
    let lines = rows.into_iter().map(|cells| Line { cells, sibling: None }).collect();
    Page { columns, lines }
}

fn with_siblings() -> Page {
    let mut page = page(vec![
        vec![number(1), text("milk")],
        vec![number(1), text("bread")],
        vec![number(22), Cell::Null],
    ]);
    let count = |count| NonZeroU32::new(count).unwrap();
    page.lines[0].sibling = Some((count(1), count(2)));
    page.lines[1].sibling = Some((count(2), count(2)));
    page
}

/// A page with one value of each sort.
fn of_all_sorts() -> Page {
    let cells = [
        ("i", Cell::Value(Value::Bigint(i64::MIN))),
        ("d", Cell::Value(Value::Double(0.5))),
        ("f", Cell::Value(Value::Float(0.1))),
        ("nan", Cell::Value(Value::Double(f64::NAN))),
        ("b", Cell::Value(Value::Boolean(true))),
        ("x", Cell::Value(Value::Blob(Bytes::from_static(&[0, 255])))),
        ("u", Cell::Value(Value::Uuid(uuid::Uuid::nil()))),
        ("t", Cell::Value(Value::Timestamp(0))),
        ("s", Cell::Value(Value::Set(vec![Value::Text("a".to_owned())]))),
        ("m", Cell::Value(Value::Map(vec![(Value::Int(1), Value::Boolean(false))]))),
        ("ti", Cell::Value(Value::Tinyint(-1))),
        ("v", Cell::Value(Value::Varint(types::BigInt::from(u128::MAX)))),
        ("dec", Cell::Value(Value::parse(&CqlType::Decimal, "1.50").unwrap())),
        ("day", Cell::Value(Value::Date(0))),
        ("dur", Cell::Value(Value::parse(&CqlType::Duration, "1d").unwrap())),
        ("tu", Cell::Value(Value::Tuple(vec![Some(Value::Int(1)), None]))),
        ("n", Cell::Null),
        ("raw", Cell::Raw(Bytes::from_static(&[7]))),
    ];
    let columns = cells.iter().map(|(name, _)| Column { name: (*name).to_owned(), kind: None });
    let columns = columns.collect();
    let cells = cells.into_iter().map(|(_, cell)| cell).collect();
    Page { columns, lines: vec![Line { cells, sibling: None }] }
}

fn printed(format: Format, page: &Page) -> String {
    Printer::new(format, false).page(page)
}

#[test]
fn a_table_is_aligned_and_numbers_stand_to_the_right() {
    let page = page(vec![vec![number(1), text("one")], vec![number(22), Cell::Null]]);
    let expected = concat!("  k | name\n", "----+------\n", "  1 | one\n", " 22 | null\n");
    assert_eq!(printed(Format::Table, &page), expected);
}

#[test]
fn siblings_are_marked_for_people() {
    let expected = concat!(
        "  k | name  |\n",
        "----+-------+----------------\n",
        "  1 | milk  | sibling 1 of 2\n",
        "  1 | bread | sibling 2 of 2\n",
        " 22 | null  |\n",
    );
    assert_eq!(printed(Format::Table, &with_siblings()), expected);
    let vertical = printed(Format::Vertical, &with_siblings());
    assert!(vertical.starts_with("@ row 1 (sibling 1 of 2)\n k    | 1\n name | milk\n@ row 2 (s"));
}

#[test]
fn programs_get_the_columns_that_they_asked_for() {
    let json =
        "{\"k\":1,\"name\":\"milk\"}\n{\"k\":1,\"name\":\"bread\"}\n{\"k\":22,\"name\":null}\n";
    assert_eq!(printed(Format::Json, &with_siblings()), json);
    assert_eq!(printed(Format::Csv, &with_siblings()), "k,name\n1,milk\n1,bread\n22,\n");
}

#[test]
fn json_has_a_form_for_every_type() {
    let expected = concat!(
        r#"{"i":-9223372036854775808,"d":0.5,"f":0.1,"nan":"NaN","b":true,"x":"0x00ff","#,
        r#""u":"00000000-0000-0000-0000-000000000000","t":"1970-01-01 00:00:00.000+0000","#,
        r#""s":["a"],"m":{"1":false},"ti":-1,"#,
        r#""v":"340282366920938463463374607431768211455","dec":"1.50","day":"1970-01-01","#,
        r#""dur":"1d","tu":[1,null],"n":null,"raw":"0x07"}"#,
        "\n"
    );
    assert_eq!(printed(Format::Json, &of_all_sorts()), expected);
}

#[test]
fn csv_quotes_what_would_be_misread() {
    let page = page(vec![
        vec![Cell::Null, text("")],
        vec![number(1), text("a,b")],
        vec![number(2), text("say \"x\"\r\ny")],
    ]);
    assert_eq!(printed(Format::Csv, &page), "k,name\n,\"\"\n1,\"a,b\"\n2,\"say \"\"x\"\"\r\ny\"\n");
}

#[test]
fn values_cannot_command_the_terminal() {
    let page = page(vec![vec![number(1), text("\u{1b}[2J\n\u{9b}")]]);
    for format in [Format::Table, Format::Vertical] {
        let printed = printed(format, &page);
        assert!(printed.contains(r"\u{1b}[2J\n\u{9b}"), "{printed}");
    }
    let name = Column { name: "\u{7}".to_owned(), kind: None };
    let page = Page { columns: vec![name], lines: Vec::new() };
    assert_eq!(printed(Format::Table, &page), " \\u{7}\n-------\n");
}

#[test]
fn later_pages_go_on_where_the_first_ended() {
    let (one, two) =
        (page(vec![vec![number(1), text("a")]]), page(vec![vec![number(2), text("b")]]));
    let none = page(Vec::new());
    let print = |format| {
        let mut printer = Printer::new(format, false);
        let text = [&one, &two, &none].map(|page| printer.page(page)).concat();
        assert_eq!(printer.rows(), 2);
        text
    };
    assert_eq!(print(Format::Csv), "k,name\n1,a\n2,b\n");
    assert_eq!(
        print(Format::Vertical),
        "@ row 1\n k    | 1\n name | a\n@ row 2\n k    | 2\n name | b\n"
    );
    let table = " k | name\n---+------\n 1 | a\n k | name\n---+------\n 2 | b\n";
    assert_eq!(print(Format::Table), table);
}

#[test]
fn no_rows_are_a_header_for_people_and_nothing_for_json() {
    let none = page(Vec::new());
    assert_eq!(
        printed(Format::Table, &none),
        " k | name\n----------\n".replace("----------", "---+------")
    );
    assert_eq!(printed(Format::Json, &none), "");
    assert_eq!(printed(Format::Csv, &none), "k,name\n");
    assert_eq!(printed(Format::Vertical, &none), "");
}

use types::{Consistency, CqlType};

use super::*;
use crate::client::hex;
use crate::columns::ColumnSpec;
use crate::event::{Schema, StatusChange, TopologyChange};

fn written(write: impl FnOnce(ReplyWriter<'_>)) -> BytesMut {
    let mut out = BytesMut::new();
    write(ReplyWriter::new(&mut out, 7));
    out
}

fn column<'a>(table: &'a str, name: &'a str, ty: &'a CqlType) -> ColumnSpec<'a> {
    ColumnSpec { keyspace: "k", table, name, ty }
}

fn two_columns() -> Columns {
    Columns::new(&[column("t", "a", &CqlType::Int), column("t", "b", &CqlType::Text)])
}

fn head(columns: &Columns) -> RowsHead<'_> {
    RowsHead { columns, paging_state: None, skip_metadata: false }
}

#[test]
fn small_replies_byte_by_byte() {
    let mut out = BytesMut::new();
    ReplyWriter::new(&mut out, 7).ready();
    assert_eq!(out[..], hex("84 00 0007 02 00000000"));
    out.clear();
    ReplyWriter::new(&mut out, -8).void();
    assert_eq!(out[..], hex("84 00 fff8 08 00000004 00000001"));
    assert_eq!(
        written(|reply| reply.set_keyspace("ks"))[..],
        hex("84 00 0007 08 00000008 00000003 0002 6b73")
    );
    let change = SchemaChange::Dropped(Schema::Table { keyspace: "k".into(), table: "t".into() });
    assert_eq!(
        written(|reply| reply.schema_change(&change))[..],
        hex("84 00 0007 08 0000001a 00000005 0007 44524f50504544 0005 5441424c45 0001 6b 0001 74")
    );
}

#[test]
fn error_byte_by_byte() {
    let kind = ErrorKind::WriteTimeout {
        consistency: Consistency::Quorum,
        received: 1,
        required: 2,
        write_type: crate::WriteType::Simple,
    };
    assert_eq!(
        written(|reply| reply.error(&ErrorReply::new(kind, "slow")))[..],
        hex("84 00 0007 00 0000001c 00001100 0004 736c6f77 0004 00000001 00000002 \
             0006 53494d504c45")
    );
}

#[test]
fn supported_names_what_drivers_look_for() {
    assert_eq!(
        written(|reply| reply.supported("3.4.7"))[..],
        hex("84 00 0007 06 00000047 0003 \
             000b 43514c5f56455253494f4e 0001 0005 332e342e37 \
             000b 434f4d5052455353494f4e 0001 0003 6c7a34 \
             0011 50524f544f434f4c5f56455253494f4e53 0001 0004 342f7634")
    );
}

#[test]
fn events_come_on_a_stream_of_their_own() {
    let mut out = BytesMut::new();
    let node = "127.0.0.2:9042".parse().unwrap();
    ReplyWriter::event(&mut out, &Event::Status { change: StatusChange::Up, node });
    assert_eq!(
        out[..],
        hex("84 00 ffff 0c 0000001c 000d 5354415455535f4348414e4745 0002 5550 \
             04 7f000002 00002352")
    );
    out.clear();
    ReplyWriter::event(&mut out, &Event::Topology { change: TopologyChange::MovedNode, node });
    assert!(out.windows(12).any(|window| window == b"\x00\x0aMOVED_NODE"));
}

#[test]
fn rows_byte_by_byte() {
    let columns = two_columns();
    let reply = written(|reply| {
        let mut rows = reply.rows(&head(&columns));
        rows.cell(Some(&[0, 0, 0, 9]));
        rows.cell(None);
        rows.cell(None);
        rows.cell_with(|out| out.put_slice(b"xy"));
        rows.finish();
    });
    assert_eq!(
        reply[..],
        hex("84 00 0007 08 00000036 00000002 00000001 00000002 0001 6b 0001 74 \
             0001 61 0009 0001 62 000d 00000002 \
             00000004 00000009 ffffffff ffffffff 00000002 7879")
    );
}

#[test]
fn last_but_not_least_pages_say_so_without_columns() {
    let columns = two_columns();
    let reply = written(|reply| {
        let head = RowsHead { columns: &columns, paging_state: Some(&[0xAB]), skip_metadata: true };
        reply.rows(&head).finish();
    });
    assert_eq!(
        reply[..],
        hex("84 00 0007 08 00000015 00000002 00000006 00000002 00000001 ab 00000000")
    );
}

#[test]
fn columns_of_two_tables_name_theirs() {
    let columns = Columns::new(&[column("t", "a", &CqlType::Int), column("u", "b", &CqlType::Int)]);
    assert_eq!(columns.specs(), hex("0001 6b 0001 74 0001 61 0009 0001 6b 0001 75 0001 62 0009"));
    assert!(!columns.is_of_one_table());
}

#[test]
fn result_without_columns_has_no_rows() {
    let columns = Columns::default();
    let reply = written(|reply| reply.rows(&head(&columns)).finish());
    assert_eq!(reply[..], hex("84 00 0007 08 00000010 00000002 00000000 00000000 00000000"));
}

#[test]
fn prepared_byte_by_byte() {
    let (markers, columns) = (two_columns(), Columns::default());
    let prepared = Prepared {
        id: &[0xCA, 0xFE],
        markers: &markers,
        partition_key: &[1, 0],
        columns: &columns,
    };
    assert_eq!(
        written(|reply| reply.prepared(&prepared))[..],
        hex("84 00 0007 08 00000030 00000004 0002 cafe \
             00000001 00000002 00000002 0001 0000 0001 6b 0001 74 0001 61 0009 0001 62 000d \
             00000004 00000000")
    );
}

#[test]
fn extras_come_in_the_order_of_the_protocol() {
    let warnings = ["careful".to_owned()];
    let payload = [(ByteString::from("p"), None)];
    let reply = written(|reply| {
        reply.with_payload(&payload).warned(&warnings).traced(Some(Uuid::from_u128(0x11))).void();
    });
    assert_eq!(
        reply[..],
        hex("84 0e 0007 08 00000028 00000000000000000000000000000011 \
             0001 0007 6361726566756c 0001 0001 70 ffffffff 00000001")
    );
}

#[test]
fn extras_are_limited() {
    let warnings = vec!["w".to_owned(); EXTRAS_MAX + 1];
    let reply = written(|reply| reply.warned(&warnings).void());
    assert_eq!(reply.len(), HEADER_BYTES + 2 + EXTRAS_MAX * 3 + 4);
}

#[test]
fn replies_stand_one_behind_the_other() {
    let mut out = BytesMut::new();
    let columns = two_columns();
    ReplyWriter::new(&mut out, 1).void();
    ReplyWriter::new(&mut out, 2).rows(&head(&columns)).finish();
    ReplyWriter::new(&mut out, 3).ready();
    let mut streams = Vec::new();
    let mut rest = &out[..];
    while let Some((header, body)) = rest.split_first_chunk::<HEADER_BYTES>() {
        streams.push(header[3]);
        let length = u32::from_be_bytes(*header[5..].first_chunk().unwrap());
        rest = &body[length as usize..];
    }
    assert_eq!(streams, [1, 2, 3]);
}

#[test]
fn dropped_writer_leaves_no_trace() {
    let mut out = BytesMut::new();
    let columns = two_columns();
    ReplyWriter::new(&mut out, 1).void();
    let before = out.clone();
    let mut rows = ReplyWriter::new(&mut out, 2).rows(&head(&columns));
    rows.cell(Some(&[1]));
    drop(rows);
    assert_eq!(out, before);
}

#[test]
#[should_panic(expected = "every row has a cell for every column")]
fn half_a_row_is_a_broken_promise() {
    let columns = two_columns();
    written(|reply| {
        let mut rows = reply.rows(&head(&columns));
        rows.cell(None);
        rows.finish();
    });
}

#[test]
fn body_tells_its_length_while_it_grows() {
    let columns = two_columns();
    let mut out = BytesMut::new();
    let mut rows = ReplyWriter::new(&mut out, 2).rows(&head(&columns));
    let before = rows.body_bytes();
    rows.cell(Some(&[0; 100]));
    assert_eq!(rows.body_bytes(), before + 104);
}

#[test]
fn too_long_result_becomes_an_error() {
    let columns = Columns::new(&[column("t", "a", &CqlType::Blob)]);
    let huge = vec![0; PROTOCOL_BODY_BYTES_MAX]; // Never touched, so it takes no memory.
    let mut out = BytesMut::new();
    ReplyWriter::new(&mut out, 1).void();
    let before = out.len();
    let mut rows = ReplyWriter::new(&mut out, 2).rows(&head(&columns));
    let head_bytes = rows.body_bytes();
    rows.cell(Some(&huge));
    rows.cell(None);
    rows.cell_with(|out| out.put_u8(1));
    assert_eq!(rows.body_bytes(), head_bytes, "nothing is written past the limit");
    rows.finish();
    assert_eq!(out[before..before + 5], hex("84 00 0002 00"));
    let text = b"result is longer than 268435456 bytes";
    assert!(out[before..].windows(text.len()).any(|window| window == text));
}

#[test]
fn long_bodies_are_compressed_where_that_helps() {
    let columns = Columns::new(&[column("t", "a", &CqlType::Blob)]);
    let write = |cell: &[u8]| {
        written(|reply| {
            let mut rows = reply.compressed(Some(Compression::Lz4)).rows(&head(&columns));
            rows.cell(Some(cell));
            rows.finish();
        })
    };
    let short = write(&[0; 10]);
    assert_eq!(short[1], 0);
    let long = write(&[0; 10_000]);
    assert_eq!(long[1], flag::COMPRESSED);
    let length = u32::from_be_bytes(*long[5..].first_chunk().unwrap()) as usize;
    assert_eq!(length, long.len() - HEADER_BYTES);
    assert!(length < 200);
}

use super::*;

const PORT: u16 = 5_000;
const MARK: &str = "mark_1";

const ARRIVED: &str = r#"1 recvfrom(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, "\4\0mark_1'", 8192, 0, NULL, NULL) = 19"#;
const LOGGED: &str = r#"2 write(6</d/000004.log>, "\7\0mark_1\3", 90) = 90"#;
const SYNCED: &str = r"2 fdatasync(6</d/000004.log>)       = 0";
const SYNC_BEGUN: &str = r"2 fdatasync(6</d/000004.log> <unfinished ...>";
const SYNC_ENDED: &str = r"2 <... fdatasync resumed>)          = 0";
const ANSWERED: &str =
    r#"1 sendto(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, "\204\0", 13, 0, NULL, 0) = 13"#;

fn judge(lines: &[&str]) -> Option<bool> {
    let calls = calls(&lines.join("\n"));
    is_synced(&calls, &exchanges(&calls, PORT), MARK)
}

#[test]
fn a_write_that_is_logged_and_synced_before_its_answer_is_right() {
    assert_eq!(judge(&[ARRIVED, LOGGED, SYNCED, ANSWERED]), Some(true));
    assert_eq!(judge(&[ARRIVED, LOGGED, SYNC_BEGUN, SYNC_ENDED, ANSWERED]), Some(true));
}

#[test]
fn an_answer_before_the_sync_ends_is_wrong() {
    assert_eq!(judge(&[ARRIVED, LOGGED, SYNC_BEGUN, ANSWERED, SYNC_ENDED]), Some(false));
    assert_eq!(judge(&[ARRIVED, LOGGED, ANSWERED, SYNCED]), Some(false));
    assert_eq!(judge(&[ARRIVED, LOGGED, ANSWERED]), Some(false));
}

/// The sync of a group that was written before does not make this write durable.
#[test]
fn a_sync_that_began_before_the_write_to_the_log_does_not_count() {
    assert_eq!(judge(&[ARRIVED, SYNCED, LOGGED, ANSWERED]), Some(false));
    assert_eq!(judge(&[ARRIVED, SYNC_BEGUN, LOGGED, SYNC_ENDED, ANSWERED]), Some(false));
    assert_eq!(judge(&[SYNC_BEGUN, ARRIVED, LOGGED, SYNC_ENDED, ANSWERED]), Some(false));
}

#[test]
fn another_write_in_the_log_does_not_count() {
    let other = LOGGED.replace(MARK, "mark_2");
    assert_eq!(judge(&[ARRIVED, &other, SYNCED, ANSWERED]), Some(false));
    assert_eq!(judge(&[LOGGED, ARRIVED, SYNCED, ANSWERED]), Some(false));
}

#[test]
fn a_sync_of_another_file_or_one_that_failed_does_not_count() {
    let table = "2 fdatasync(7</d/000009.sst>) = 0";
    let failed = "2 fdatasync(6</d/000004.log>) = -1 EIO (Input/output error)";
    assert_eq!(judge(&[ARRIVED, LOGGED, table, ANSWERED]), Some(false));
    assert_eq!(judge(&[ARRIVED, LOGGED, failed, ANSWERED]), Some(false));
}

#[test]
fn a_request_in_two_reads_arrives_with_the_second() {
    let first = r#"1 read(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, "\4\0mark", 8) = 8"#;
    let begun = "1 read(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>,  <unfinished ...>";
    let ended = r#"1 <... read resumed>"_1'", 8) = 8"#;
    let again = "1 read(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, 0x7, 8) = -1 EAGAIN (Resource)";
    let calls = calls(&[first, begun, ended, again, ANSWERED, ANSWERED].join("\n"));
    let exchanges = exchanges(&calls, PORT);
    assert_eq!(exchanges.len(), 1);
    assert_eq!((exchanges[0].arrived, exchanges[0].answered), (2, 4));
    assert!(exchanges[0].request.contains("_1'"));
}

#[test]
fn other_connections_are_not_looked_at() {
    let lines = [ARRIVED, LOGGED, SYNCED, ANSWERED].map(|line| line.replace(":5000]", ":5001]"));
    let calls = calls(&lines.join("\n"));
    assert_eq!(is_synced(&calls, &exchanges(&calls, PORT), MARK), None);
    assert_eq!(sync_count(&calls), 1);
}

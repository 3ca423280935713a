use super::*;

fn name(name: &str) -> &OsStr {
    OsStr::new(name)
}

fn write(disk: &mut Disk, file: &str, bytes: &[u8]) -> u64 {
    let number = disk
        .find(ROOT, name(file))
        .unwrap_or_else(|_| disk.make(ROOT, name(file), Node::File(Content::default())).unwrap());
    let content = disk.file(number).unwrap();
    content.resize(0);
    content.write(0, bytes);
    number
}

/// What the file holds, if it is there.
fn read(disk: &mut Disk, file: &str) -> Option<Vec<u8>> {
    let number = disk.find(ROOT, name(file)).ok()?;
    Some(disk.file(number).unwrap().read(0, usize::MAX))
}

fn cut(disk: &mut Disk) {
    disk.cut_power(Tear::Clean, &mut Chance::of(0));
}

#[test]
fn a_file_needs_its_own_sync_and_that_of_its_directory() {
    for (syncs_file, syncs_directory, left) in [
        (true, true, Some(&b"bytes"[..])),
        (true, false, None),
        (false, true, Some(b"")),
        (false, false, None),
    ] {
        let mut disk = Disk::default();
        let number = write(&mut disk, "f", b"bytes");
        if syncs_file {
            disk.sync(number).unwrap();
        }
        if syncs_directory {
            disk.sync(ROOT).unwrap();
        }
        cut(&mut disk);
        assert_eq!(read(&mut disk, "f").as_deref(), left, "{syncs_file} {syncs_directory}");
    }
}

#[test]
fn a_file_that_is_written_aside_and_renamed_is_old_or_new_and_never_gone() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let mut disk = Disk::default();
        let old = write(&mut disk, "CURRENT", b"old");
        disk.sync(old).unwrap();
        disk.sync(ROOT).unwrap();
        let new = write(&mut disk, "CURRENT.new", b"new");
        disk.sync(new).unwrap();
        disk.rename(ROOT, name("CURRENT.new"), name("CURRENT")).unwrap();
        disk.cut_power(Tear::Torn, &mut Chance::of(seed));
        seen.insert(read(&mut disk, "CURRENT").unwrap());
    }
    assert_eq!(seen, BTreeSet::from([b"old".to_vec(), b"new".to_vec()]));
}

#[test]
fn a_rename_before_the_bytes_are_synced_can_leave_an_empty_file() {
    let mut disk = Disk::default();
    let old = write(&mut disk, "CURRENT", b"old");
    disk.sync(old).unwrap();
    write(&mut disk, "CURRENT.new", b"new");
    disk.rename(ROOT, name("CURRENT.new"), name("CURRENT")).unwrap();
    disk.sync(ROOT).unwrap();
    cut(&mut disk);
    assert_eq!(read(&mut disk, "CURRENT").unwrap(), b"");
}

#[test]
fn a_file_that_was_unlinked_is_back_unless_its_directory_was_synced() {
    for is_synced in [false, true] {
        let mut disk = Disk::default();
        let number = write(&mut disk, "f", b"bytes");
        disk.sync(number).unwrap();
        disk.sync(ROOT).unwrap();
        disk.unlink(ROOT, name("f")).unwrap();
        assert_eq!(read(&mut disk, "f"), None);
        if is_synced {
            disk.sync(ROOT).unwrap();
        }
        cut(&mut disk);
        let left = (!is_synced).then(|| b"bytes".to_vec());
        assert_eq!(read(&mut disk, "f"), left);
    }
}

#[test]
fn names_reach_the_disk_in_the_order_in_which_they_were_made() {
    let mut counts = BTreeSet::new();
    for seed in 0..100 {
        let mut disk = Disk::default();
        for file in ["a", "b", "c"] {
            write(&mut disk, file, b"");
        }
        disk.cut_power(Tear::Torn, &mut Chance::of(seed));
        let left: Vec<_> = disk.names(ROOT).unwrap().keys().cloned().collect();
        assert_eq!(left, ["a", "b", "c"][..left.len()]);
        counts.insert(left.len());
    }
    assert_eq!(counts.len(), 4);
}

#[test]
fn an_open_file_without_a_name_is_read_until_it_is_closed_and_then_leaves_no_trace() {
    let mut disk = Disk::default();
    let number = write(&mut disk, "f", b"bytes");
    disk.opened(number);
    disk.sync(ROOT).unwrap();
    disk.unlink(ROOT, name("f")).unwrap();
    disk.sync(ROOT).unwrap();
    assert_eq!(disk.file(number).unwrap().read(0, 9), b"bytes");
    disk.closed(number);
    disk.sync(ROOT).unwrap();
    assert_eq!(disk.file(number).unwrap_err(), Errno::NOENT);
}

#[test]
fn directories_are_made_renamed_and_removed_with_what_lies_in_them() {
    let mut disk = Disk::default();
    let inner = disk.make(ROOT, name("rows"), Node::Directory(Directory::default())).unwrap();
    disk.make(inner, name("f"), Node::File(Content::default())).unwrap();
    disk.sync(inner).unwrap();
    disk.rename(ROOT, name("rows"), name("rows.old")).unwrap();
    disk.sync(ROOT).unwrap();
    cut(&mut disk);
    assert_eq!(disk.find(ROOT, name("rows.old")), Ok(inner));
    assert_eq!(disk.remove_directory(ROOT, name("rows.old")), Err(Errno::NOTEMPTY));
    disk.unlink(inner, name("f")).unwrap();
    disk.remove_directory(ROOT, name("rows.old")).unwrap();
    disk.sync(ROOT).unwrap();
    assert_eq!(disk.nodes.len(), 1, "nothing but the root is left");
}

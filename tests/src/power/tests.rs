use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::thread;

use super::*;
use crate::place;

/// A disk, and where it is.
fn disk() -> (tempfile::TempDir, PowerDisk) {
    let directory = place::scratch("power").unwrap();
    let disk = PowerDisk::mount(&directory.path().join("disk"), Chance::of(1)).unwrap();
    (directory, disk)
}

fn cut(disk: &mut PowerDisk) {
    disk.cut(Tear::Clean, || Ok(())).unwrap();
    disk.restore().unwrap();
}

fn sync_names(directory: &Path) {
    File::open(directory).unwrap().sync_all().unwrap();
}

#[test]
fn bytes_that_were_not_synced_vanish_and_others_stay() {
    let (_directory, mut disk) = disk();
    let place = disk.place.clone();
    let mut file = File::create(place.join("log")).unwrap();
    sync_names(&place);
    file.write_all(b"synced ").unwrap();
    file.sync_data().unwrap();
    file.write_all(b"not synced").unwrap();
    assert_eq!(fs::read(place.join("log")).unwrap(), b"synced not synced");
    drop(file);
    cut(&mut disk);
    assert_eq!(fs::read(place.join("log")).unwrap(), b"synced ");
}

#[test]
fn a_write_through_a_synchronous_descriptor_is_synced() {
    let (_directory, mut disk) = disk();
    let place = disk.place.clone();
    let dsync = rustix::fs::OFlags::DSYNC.bits().cast_signed();
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).custom_flags(dsync).open(place.join("f")).unwrap();
    sync_names(&place);
    file.write_all_at(b"bytes", 0).unwrap();
    drop(file);
    cut(&mut disk);
    assert_eq!(fs::read(place.join("f")).unwrap(), b"bytes");
}

#[test]
fn closing_a_file_syncs_nothing() {
    let (_directory, mut disk) = disk();
    let place = disk.place.clone();
    fs::write(place.join("f"), b"bytes").unwrap();
    sync_names(&place);
    cut(&mut disk);
    assert_eq!(fs::read(place.join("f")).unwrap(), b"");
}

#[test]
fn a_directory_of_files_is_made_listed_renamed_and_removed() {
    let (_directory, mut disk) = disk();
    let place = disk.place.clone();
    let rows = place.join("rows");
    fs::create_dir(&rows).unwrap();
    for n in 0..300 {
        fs::write(rows.join(format!("{n}.sst")), vec![1; 10_000]).unwrap();
    }
    sync_names(&rows);
    fs::rename(&rows, place.join("rows.old")).unwrap();
    sync_names(&place);
    cut(&mut disk);
    assert_eq!(fs::read_dir(place.join("rows.old")).unwrap().count(), 300);
    assert!(fs::rename(place.join("rows.old/1.sst"), place.join("1.sst")).is_err());
    fs::remove_dir_all(place.join("rows.old")).unwrap();
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
}

#[test]
fn whoever_writes_when_the_power_goes_is_not_answered_until_it_is_dead() {
    let (_directory, mut disk) = disk();
    let place = disk.place.clone();
    let file = File::create(place.join("f")).unwrap();
    sync_names(&place);
    let writer = thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut answered = 0_u64;
            while file.write_all_at(&answered.to_be_bytes(), answered * 8).is_ok()
                && file.sync_data().is_ok()
            {
                answered += 1;
            }
            answered
        });
        disk.cut(Tear::Torn, || {
            thread::sleep(std::time::Duration::from_millis(50));
            assert!(!writer.is_finished(), "nobody is refused before the end");
            Ok(())
        })
        .unwrap();
        writer.join().unwrap()
    });
    disk.restore().unwrap();
    let left = fs::read(place.join("f")).unwrap();
    assert!(left.len() as u64 >= writer * 8, "{} bytes of {writer} answers", left.len());
}

#[test]
fn syncs_fail_once_they_are_told_to_until_the_power_is_back() {
    let (_directory, mut disk) = disk();
    let place = disk.place.clone();
    disk.fail_syncs_after(2);
    let file = File::create(place.join("f")).unwrap();
    sync_names(&place);
    file.write_all_at(b"old", 0).unwrap();
    file.sync_all().unwrap();
    file.write_all_at(b"new", 0).unwrap();
    let error = file.sync_all().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
    assert!(File::open(&place).unwrap().sync_all().is_err());
    assert_eq!(fs::read(place.join("f")).unwrap(), b"new");
    drop(file);
    cut(&mut disk);
    assert_eq!(fs::read(place.join("f")).unwrap(), b"old");
    sync_names(&place);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a thread that panics")]
fn nothing_stays_mounted() {
    let (directory, disk) = disk();
    let place = directory.path().join("disk");
    let is_mounted = || {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        mounts.contains(place.to_str().unwrap())
    };
    fs::write(place.join("f"), b"bytes").unwrap();
    let _open = File::open(place.join("f")).unwrap();
    assert!(is_mounted());
    let panicked = thread::spawn(move || {
        let _disk = disk;
        panic!("a test that fails");
    });
    assert!(panicked.join().is_err());
    assert!(!is_mounted());
}

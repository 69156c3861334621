//! A log's folder in which somebody put other things than the log's files. Row 75.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tributary::store::verify::{Report, Verdict, verify};

use super::support::{append, closed_log, open, options, verifying_key};
use crate::kit::files::copy;

/// What is put in a file's place.
const THINGS: [&str; 6] =
    ["a FIFO", "a device", "a folder", "itself", "a file as a folder", "20 GiB"];

fn put(thing: &str, file: &Path) {
    fs::remove_file(file).unwrap();
    match thing {
        "a FIFO" => assert!(Command::new("mkfifo").arg(file).status().unwrap().success()),
        "a device" => symlink("/dev/zero", file).unwrap(),
        "a folder" => fs::create_dir(file).unwrap(),
        "itself" => symlink(file, file).unwrap(),
        "a file as a folder" => symlink("/etc/hostname/below", file).unwrap(),
        _ => fs::File::create(file).unwrap().set_len(20 << 30).unwrap(),
    }
}

fn check(log: &Path) -> Report {
    verify(log, &verifying_key(), None, &mut |_| {}).unwrap()
}

#[test]
fn row_75_other_things_in_a_files_place_make_a_verdict_that_names_it() {
    let sound = tempfile::tempdir().unwrap();
    closed_log(sound.path(), 300);
    assert_eq!(check(sound.path()).verdict, Verdict::Sound);
    let segment = fs::read_dir(sound.path().join("wal")).unwrap().next().unwrap().unwrap();
    let segment = PathBuf::from("wal").join(segment.file_name());
    for file in ["checkpoint", "tile/0/000", "tile/entries/000", segment.to_str().unwrap()] {
        for thing in THINGS {
            let copied = tempfile::tempdir().unwrap();
            copy(sound.path(), copied.path());
            put(thing, &copied.path().join(file));
            let report = check(copied.path());
            assert_eq!(report.verdict, Verdict::Tampered, "{thing} as {file}");
            let named = report.faults.iter().any(|fault| fault.file == file);
            assert!(named, "{thing} as {file}: {:?}", report.faults);
            // Nor does a log go on from there.
            assert!(open(copied.path(), options()).is_err(), "{thing} as {file}");
        }
    }
}

#[test]
fn row_75_folders_that_are_none_and_segments_without_number() {
    let sound = tempfile::tempdir().unwrap();
    closed_log(sound.path(), 300);
    for folder in ["wal", "tile"] {
        let copied = tempfile::tempdir().unwrap();
        copy(sound.path(), copied.path());
        fs::remove_dir_all(copied.path().join(folder)).unwrap();
        fs::write(copied.path().join(folder), "").unwrap();
        assert_eq!(check(copied.path()).verdict, Verdict::Tampered, "{folder}");
    }
    let copied = tempfile::tempdir().unwrap();
    copy(sound.path(), copied.path());
    for number in 0..2000 {
        fs::write(copied.path().join(format!("wal/{number:05}.wal")), "").unwrap();
    }
    assert_eq!(check(copied.path()).verdict, Verdict::Tampered);
}

#[test]
fn row_75_a_tail_of_beginnings_of_frames_ends_soon() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), options()).unwrap();
    append(&log, 0).unwrap();
    log.close().unwrap();
    let segment = fs::read_dir(dir.path().join("wal")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&segment).unwrap();
    // Each says that it is a frame of 8 MiB: a check of each would read 100 TiB.
    let beginning = [b"TRBF".as_slice(), &(8u32 << 20).to_be_bytes()].concat();
    bytes.extend(beginning.iter().cycle().take(100 << 20));
    fs::write(&segment, bytes).unwrap();
    assert_eq!(check(dir.path()).verdict, Verdict::Tampered);
}

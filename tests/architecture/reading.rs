//! Files are read in one place, which takes regular files of a bounded size alone.

use super::syntax::{File, OURS, files};

/// The place.
const READER: &str = "src/files.rs";

/// Calls that would read whatever lies at a path, by their last two names.
const READS: &[[&str; 2]] = &[
    ["fs", "read"],
    ["fs", "read_to_string"],
    ["File", "open"],
    ["CertificateDer", "pem_file_iter"],
    ["CertificateDer", "from_pem_file"],
    ["PrivateKeyDer", "from_pem_file"],
];

fn reads_elsewhere(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.path != READER) {
        let reads = |path: &&Vec<String>| {
            path.windows(2)
                .any(|two| READS.iter().any(|read| two[0] == read[0] && two[1] == read[1]))
        };
        for path in file.paths.iter().filter(reads) {
            faults.push(format!("{}: `{}`: use crate::files", file.path, path.join("::")));
        }
    }
    faults
}

#[test]
fn files_are_read_in_one_place() {
    let faults = reads_elsewhere(&OURS);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn reading_elsewhere_is_found() {
    for text in [
        "fn f() { std::fs::read(p); }",
        "use std::fs; fn f() { fs::read_to_string(p); }",
        "use std::fs::File; fn f() { File::open(p).map(drop); }",
        "use std::fs::read;",
    ] {
        assert!(!reads_elsewhere(&files(&[("src/store/x.rs", text)])).is_empty(), "{text}");
        assert!(reads_elsewhere(&files(&[(READER, text)])).is_empty(), "{text}");
    }
    let fine = "fn f() { std::fs::read_dir(p); std::fs::File::create(p); }";
    assert!(reads_elsewhere(&files(&[("src/store/x.rs", fine)])).is_empty());
}

//! The `[counters]` section: which addresses are taken, and that none is said.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tributary::config::counters::{CountersConfig, CountersDatabase, CountersUrlError};

fn database(section: &str, folder: &Path) -> Result<CountersDatabase, CountersUrlError> {
    let config: CountersConfig = toml::from_str(section).unwrap();
    let database = config.database(folder);
    let text = format!("{config:?} {database:?}");
    assert!(!text.contains("ruddy"), "{text}");
    if let Err(error) = &database {
        assert!(!error.to_string().contains("ruddy"), "{error}");
    }
    database
}

fn postgres(database: Result<CountersDatabase, CountersUrlError>) -> String {
    match database {
        Ok(CountersDatabase::Postgres(url)) => url.expose().clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_of_sqlite_starts_at_the_folder() {
    let found = database("url = 'sqlite:../data/c.db'", Path::new("/etc/agency")).unwrap();
    assert!(
        matches!(&found, CountersDatabase::Sqlite(file) if file == Path::new("/etc/agency/../data/c.db"))
    );
}

#[test]
fn an_address_of_postgresql_is_taken_and_not_said() {
    let url = "postgres://agency:ruddy@db.example/counters?sslmode=verify-full";
    assert_eq!(postgres(database(&format!("url = '{url}'"), Path::new("/"))), url);
}

#[test]
fn other_addresses_are_refused() {
    for (url, error) in [
        ("", CountersUrlError::Address),
        ("sqlite:", CountersUrlError::Address),
        ("sqlite::memory:", CountersUrlError::Address),
        ("sqlite:c.db?mode=memory", CountersUrlError::Address),
        ("mysql://u:ruddy@db/c", CountersUrlError::Address),
        ("postgres://u@db/c?pasword=ruddy", CountersUrlError::Parameter),
        ("postgres://u@db/c?sslmode=require&options=-cfsync%3Druddy", CountersUrlError::Parameter),
    ] {
        assert_eq!(
            database(&format!("url = '{url}'"), Path::new("/")).unwrap_err(),
            error,
            "{url}"
        );
    }
}

#[test]
fn either_url_or_url_file() {
    let both = database("url = 'postgres://u:ruddy@db/c'\nurl_file = 'x'", Path::new("/"));
    assert_eq!(both.unwrap_err(), CountersUrlError::Which);
    assert_eq!(database("", Path::new("/")).unwrap_err(), CountersUrlError::Which);
}

#[test]
fn the_address_in_a_file_that_only_we_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("address");
    let section = "url_file = 'address'";
    let missing = database(section, folder.path()).unwrap_err();
    assert!(matches!(missing, CountersUrlError::Read { .. }), "{missing}");
    fs::write(&file, "postgres://u:ruddy@db/c\n").unwrap();
    for mode in [0o644, 0o640, 0o604, 0o620] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let open = database(section, folder.path()).unwrap_err();
        assert_eq!(open, CountersUrlError::Mode(file.clone()), "{mode:o}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(postgres(database(section, folder.path())), "postgres://u:ruddy@db/c");
}

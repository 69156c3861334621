//! Paths as they are right for the place where the written file lies.

use std::path::{Component, Path, PathBuf};

/// A path that is right here, as it is right in a file of that folder. One that is
/// absolute stays as it is.
pub(super) fn seen_from(folder: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_owned();
    }
    let (Some(from), Some(to)) = (whole(folder), whole(path)) else {
        return path.to_owned();
    };
    let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    let up = from.iter().skip(shared).map(|_| Component::ParentDir.as_os_str().to_owned());
    let down = to.iter().skip(shared).cloned();
    let seen: PathBuf = up.chain(down).collect();
    if seen.as_os_str().is_empty() { PathBuf::from(".") } else { seen }
}

/// The parts of a path from the root on, without `.` and `..`. What is there is
/// followed through its links, so that `..` means what the system takes it for.
fn whole(path: &Path) -> Option<Vec<std::ffi::OsString>> {
    let path = std::path::absolute(if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let path = path.ok()?;
    let path = path.canonicalize().or_else(|_| {
        let (folder, name) = (path.parent(), path.file_name());
        let folder = folder.map_or(Ok(PathBuf::new()), Path::canonicalize)?;
        Ok::<_, std::io::Error>(folder.join(name.unwrap_or_default()))
    });
    let parts = path.ok()?;
    Some(parts.components().map(|part| part.as_os_str().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_right_from_where_the_file_lies() {
        let here = tempfile::tempdir().unwrap();
        let here = here.path();
        std::fs::create_dir_all(here.join("a/b")).unwrap();
        std::fs::write(here.join("records.db"), "").unwrap();
        for (folder, path, seen) in [
            ("", "records.db", "records.db"),
            ("a", "records.db", "../records.db"),
            ("a/b", "records.db", "../../records.db"),
            ("", "a/../records.db", "records.db"),
            ("a", "a/b", "b"),
            ("a", "a/new", "new"),
            ("a", "a", "."),
        ] {
            let relative = |path: &str| {
                let up = std::env::current_dir().unwrap().components().skip(1).count();
                let up: PathBuf = std::iter::repeat_n("..", up).collect();
                up.join(here.join(path).strip_prefix("/").unwrap())
            };
            let found = seen_from(&relative(folder), &relative(path));
            assert_eq!(found, PathBuf::from(seen), "{path} from {folder}");
        }
        assert_eq!(seen_from(Path::new("a"), Path::new("/x/y")), PathBuf::from("/x/y"));
    }
}

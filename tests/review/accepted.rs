//! Acceptance by a second person, as a pipeline meets it: two git revisions, a lock file
//! with signatures, and the author of the change among the acceptors.

use std::path::Path;
use std::process::{Command, Output};

use tributary::domain::audit::{Origin, SigningKey};
use tributary::domain::grant::base64;

use crate::support::{City, review, stdout};

struct Repository {
    folder: tempfile::TempDir,
}

const SEEDS: [(&str, u8); 3] = [("board", 1), ("author", 2), ("stranger", 3)];

impl Repository {
    /// A base whose `review.toml` names the board and the author, and a change on top.
    fn new(change: fn(&City)) -> Self {
        let repository = Self { folder: tempfile::tempdir().unwrap() };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        let city = City::new();
        let mut named = String::new();
        for (name, seed) in SEEDS {
            let file = repository.seed(name);
            std::fs::write(&file, base64::encode(&[seed; 32])).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&file, mode).unwrap();
            let origin: Origin = name.parse().unwrap();
            let key = SigningKey::from_seed(&[seed; 32]).unwrap().verifying_key(&origin).unwrap();
            if name != "stranger" {
                named.push_str(&format!(
                    "[[acceptor]]\nname = \"{name}\"\nkey = \"{key}\"\nemails = [\"{name}@city.example\"]\n"
                ));
            }
        }
        city.write("review.toml", &named);
        repository.commit(&city, "before");
        change(&city);
        repository.commit(&city, "after");
        repository
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn seed(&self, name: &str) -> std::path::PathBuf {
        self.path().join(format!("{name}.seed"))
    }

    fn git(&self, arguments: &[&str]) {
        let output = Command::new("git")
            .arg("-C")
            .arg(self.path())
            .args(["-c", "user.name=Author", "-c", "user.email=Author@city.example"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    fn commit(&self, city: &City, message: &str) {
        let to = self.path().join("city");
        let _ = std::fs::remove_dir_all(&to);
        let copied = Command::new("cp").arg("-r").arg(city.path()).arg(&to).status().unwrap();
        assert!(copied.success());
        self.git(&["add", "city"]);
        self.git(&["commit", "--quiet", "-m", message]);
    }

    fn lock(&self) -> String {
        self.path().join("flows.lock").to_str().unwrap().to_owned()
    }

    fn run(&self, command: &str, more: &[&str]) -> Output {
        let (at, lock) = (self.path().to_str().unwrap(), self.lock());
        let mut arguments = vec![command, "HEAD~1", "HEAD", "--repository", at, "--path", "city"];
        arguments.extend(["--lock", &lock]);
        arguments.extend(more);
        review(&arguments)
    }

    fn accept(&self, name: &str, until: &str) -> Output {
        let seed = self.seed(name);
        let seed = seed.to_str().unwrap();
        let words = ["--who", name, "--why", "agreed", "--until", until];
        self.run("accept", &[&words[..], &["--key", seed, "--key-name", name]].concat())
    }
}

fn day(days: i64) -> String {
    (tributary::clock::utc().date() + time::Duration::days(days)).to_string()
}

fn trusts_more(city: &City) {
    city.replace(
        "gateway.toml",
        "domain = \"bank.city.example\"\nroles = [\"consumer\"]",
        "domain = \"bank.city.example\"\nroles = [\"consumer\", \"reviewer\"]",
    );
}

#[test]
fn row_73_a_second_persons_signature_lets_exactly_this_change_pass() {
    let repository = Repository::new(trusts_more);
    let refused = repository.run("diff", &[]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let text = stdout(&refused);
    assert!(
        text.contains("TRUST bank.city.example may now speak at gateway for reviewer"),
        "{text}"
    );
    assert!(
        text.contains("by gateway.toml:")
            && text.contains(", commit ")
            && text.contains(" of Author"),
        "{text}"
    );

    // Whoever may not: the author, a stranger, nobody, and the board for too long.
    for (name, until, why) in [
        ("author", day(30), "nobody accepts their own"),
        ("stranger", day(30), "is no acceptor"),
        ("board", day(91), "counts for 91 days, and at most 90 may be"),
    ] {
        let output = repository.accept(name, &until);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(why), "{said}");
    }
    let words = ["--who", "board", "--why", "agreed", "--until", &day(9)];
    assert_eq!(repository.run("accept", &words).status.code(), Some(1), "unsigned");

    // The board may, and the change passes; with another change on top it does not.
    let output = repository.accept("board", &day(30));
    assert!(output.status.success(), "{output:?}");
    let passed = repository.run("diff", &[]);
    assert_eq!(passed.status.code(), Some(2), "{passed:?}");
    assert!(stdout(&passed).contains("accepted by board until"), "{}", stdout(&passed));

    let lock = std::fs::read_to_string(repository.lock()).unwrap();
    std::fs::write(repository.lock(), lock.replace("why agreed", "why agrees")).unwrap();
    let forged = repository.run("diff", &[]);
    assert_eq!(forged.status.code(), Some(3));
    assert!(stdout(&forged).contains("it was forged or changed"), "{}", stdout(&forged));
    std::fs::write(repository.lock(), lock).unwrap();

    let city = City::new();
    for file in ["gateway.toml", "review.toml"] {
        let text = std::fs::read_to_string(repository.path().join("city").join(file)).unwrap();
        city.write(file, &text);
    }
    city.replace("gateway.toml", "per_minute = 60", "per_minute = 6000");
    repository.commit(&city, "more");
    let (at, lock) = (repository.path().to_str().unwrap(), repository.lock());
    let other = ["diff", "HEAD~2", "HEAD", "--repository", at, "--path", "city", "--lock", &lock];
    let output = review(&other);
    assert_eq!(output.status.code(), Some(3));
    let text = stdout(&output);
    assert!(text.contains("it is for another head") && text.contains("NOT ACCEPTED"), "{text}");
}

//! Each word that a peer can be told has its page.

use std::path::Path;

/// The words stand in the code as literals; a new one fails here without its page.
#[test]
fn each_reason_has_a_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut words = std::collections::BTreeSet::new();
    for file in ["error.rs", "statuses.rs", "subject.rs"] {
        let text = std::fs::read_to_string(root.join("src/domain/grant").join(file)).unwrap();
        words.extend(text.split('"').filter(|word| word.starts_with("GRANT_")).map(str::to_owned));
    }
    assert!(words.len() >= 24, "{words:?}");
    for word in words {
        assert!(root.join(format!("docs/errors/{word}.md")).is_file(), "{word} has no page");
    }
}

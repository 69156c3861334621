//! A build without the feature `prove`.

use crate::support::{City, review};

#[test]
fn a_build_that_cannot_prove_says_how_to_get_one_that_can() {
    let city = City::new();
    let output = review(&["prove", city.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(4), "nothing is disproved, and nothing proven");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cargo build --features prove"), "{said}");
    assert!(output.stdout.is_empty());
}

//! What the command line says of itself, word by word, and how it answers wrong
//! usage. `TRYCMD=overwrite cargo test --test cli` writes what it says now.

#[test]
fn help_and_wrong_usage_are_as_written() {
    trycmd::TestCases::new().case("tests/cli/*.trycmd");
}

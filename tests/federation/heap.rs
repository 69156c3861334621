//! Row 78: what of an answer is left in the gateway's memory once it was given.
//!
//! Counted are values as they stand in every buffer that a profile goes through: references
//! of statements as text, and amounts as they are encoded. What was measured stands in
//! docs/threat-model.md. The bound is twice that, a third of all: it finds out whoever begins
//! to keep answers, and nobody who has another allocator.

use crate::kit::demo::City;
use crate::kit::waiting::UNHURRIED as DEADLINE;
use crate::privacy::memory;

/// So begins an amount in any message.
const AMOUNT: &[u8] = b"\n\x03CNY\x10";

fn count(memory: &[u8], value: &[u8]) -> usize {
    memory.windows(value.len()).filter(|window| *window == value).count()
}

#[tokio::test]
async fn row_78_what_was_answered_is_not_kept_in_the_gateways_memory() {
    let city = City::start(&["--bundle", "small_business_loan", "--grant-uses", "1000"]);
    let mut client = city.client().await;
    let items: Vec<String> = client.bundle("small_business_loan").await.unwrap();
    let (mut amounts, mut statements) = (0, 0);
    for turn in 0..400 {
        let grant = city.grant(turn % 40);
        let answer = client.profile(&grant, items.clone(), DEADLINE).await.unwrap();
        let encoded = prost::Message::encode_to_vec(&answer);
        amounts += count(&encoded, AMOUNT);
        statements += count(&encoded, b"statement-");
    }
    assert!(amounts > 1_000 && statements > 20, "{amounts} amounts, {statements} statements");
    let memory = memory(city.described.gateway.pid);
    let consumer = b"spiffe://scoring.city.example/consumer/scoring-service";
    assert!(count(&memory, consumer) > 0, "this is not its memory");
    let (left, told) = (count(&memory, AMOUNT), count(&memory, b"statement-"));
    println!("of {amounts} amounts {left} are left, of {statements} statements {told}");
    let most = (amounts + statements) / 3;
    assert!(left + told <= most, "{left} amounts and {told} statements are left of {most}");
}

//! Tests of [`super`]. The numbers are of a region that does not exist.

use proptest::prelude::*;

use super::*;

fn form(steps: Vec<SubjectStep>) -> SubjectForm {
    SubjectForm::new(steps)
}

fn every() -> SubjectForm {
    form(vec![
        SubjectStep::Trim,
        SubjectStep::Upper,
        SubjectStep::Digits15To18,
        SubjectStep::ZeroPad(18),
    ])
}

fn asked(form: &SubjectForm, person: &str) -> Vec<String> {
    form.asked(person).iter().map(|key| key.expose().to_string()).collect()
}

#[test]
fn each_step_asks_for_what_the_column_may_hold() {
    let x = "99000019940906000X";
    assert_eq!(asked(&form(vec![]), x), [x]);
    assert_eq!(asked(&form(vec![SubjectStep::Upper]), x), [x, "99000019940906000x"]);
    let trim = asked(&form(vec![SubjectStep::Trim]), "17");
    assert_eq!(trim, ["17", "17 ", "17  ", " 17"]);
    let pad = form(vec![SubjectStep::ZeroPad(4)]);
    assert_eq!(asked(&pad, "0017"), ["0017", "17"]);
    assert_eq!(asked(&pad, "0000"), ["0000", "0"]);
    assert_eq!(asked(&pad, "017"), [""; 0], "such a column holds nobody with three digits");
    let old = form(vec![SubjectStep::Digits15To18]);
    assert_eq!(asked(&old, "990000196105190012"), ["990000196105190012", "990000610519001"]);
    // Of this century, or with another check character, nobody had fifteen digits.
    for none in ["990000200105190012", "990000196105190013", "short"] {
        assert_eq!(asked(&old, none), [none]);
    }
}

#[test]
fn what_comes_back_is_brought_to_the_catalogues_form() {
    let of = |steps, cell| form(steps).of_cell(cell).map(Cow::into_owned);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(of(vec![SubjectStep::Trim], Cell::Text(" 17 ")), some("17"));
    assert_eq!(of(vec![SubjectStep::Upper], Cell::Text("1x")), some("1X"));
    assert_eq!(of(vec![SubjectStep::ZeroPad(4)], Cell::Integer(17)), some("0017"));
    assert_eq!(of(vec![SubjectStep::ZeroPad(4)], Cell::Text("x7")), some("x7"));
    let old = of(vec![SubjectStep::Digits15To18], Cell::Text("990000610519001"));
    assert_eq!(old, some("990000196105190012"));
    assert_eq!(of(vec![], Cell::Text("17 ")), some("17 "), "nothing is done unasked");
    for cell in [Cell::Null, Cell::Real(17.0), Cell::Other, Cell::Bool(true)] {
        assert_eq!(of(vec![SubjectStep::Trim], cell), None);
    }
}

#[test]
fn a_hash_is_asked_and_known_by_itself() {
    // RFC 4231, test case 2.
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
    let hashed = form(vec![SubjectStep::Trim, SubjectStep::Hash(Hash::Keyed(Box::new(key)))]);
    let person = "what do ya want for nothing?";
    let hash = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(&*hashed.key(person), hash);
    let asked = asked(&hashed, person);
    assert!(asked.iter().any(|form| form == hash) && !asked.iter().any(|form| form == person));
    assert!(asked.iter().any(|form| *form == hash.to_ascii_uppercase()));
    let upper = hash.to_ascii_uppercase() + " ";
    assert_eq!(hashed.of_cell(Cell::Text(&upper)).as_deref(), Some(hash));
    let plain = form(vec![SubjectStep::Hash(Hash::Plain(&digest::SHA256))]);
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(&*plain.key("abc"), abc);
}

#[test]
fn a_number_is_shown_by_its_ends_alone() {
    let shown = |text: &str| masked(Cell::Text(text));
    assert_eq!(shown("990000196105190041 "), "99##############41\u{2420}");
    assert_eq!(shown("99000019940906000x"), "99##############0x");
    assert_eq!(shown("9.90000196105190E+17"), "9.##############X+17");
    assert_eq!(shown("12345"), "#####", "a short one is not shown at all");
    assert_eq!(shown("张三"), "##");
    assert_eq!(shown(&"9".repeat(500)).chars().count(), 66);
    assert_eq!(masked(Cell::Integer(990_000_196_105_190_012)), "99##############12");
}

#[test]
fn what_no_question_finds_is_told() {
    let number = |text: &str| text.len() == 18;
    let found = |steps, text: &str| form(steps).is_found(Cell::Text(text), &number);
    let right = "990000196105190012";
    assert!(found(vec![], right));
    assert!(!found(vec![], "990000196105190012 "));
    assert!(found(vec![SubjectStep::Trim], "990000196105190012 "));
    assert!(
        !found(vec![SubjectStep::Trim], "990000196105190012      "),
        "as nobody asks for so many"
    );
    assert!(found(vec![SubjectStep::Upper], "99000019940906000x"));
    assert!(!found(vec![SubjectStep::Upper], "990000196105190"));
    assert!(found(vec![SubjectStep::Digits15To18], "990000610519001"));
    let hash = || vec![SubjectStep::Hash(Hash::Plain(&digest::SHA256))];
    assert!(found(hash(), &"0a".repeat(32)) && found(hash(), &"0A".repeat(32)));
    for odd in [right.to_owned(), "0x".repeat(32), "0a".repeat(31) + "0A", "0a".repeat(32) + " "] {
        assert!(!found(hash(), &odd), "{odd}");
    }
    for cell in [Cell::Null, Cell::Other, Cell::Real(1.0)] {
        assert!(!form(vec![SubjectStep::Trim]).is_found(cell, &number));
    }
}

proptest! {
    /// Whatever is asked for comes back as the person who was asked about, and a
    /// number of nobody else is among it.
    #[test]
    fn every_form_leads_back_to_its_person(day in 0u32..20_000, order in 0u32..1000) {
        let date = time::macros::date!(1930 - 01 - 01) + time::Duration::days(day.into());
        let (year, month) = (date.year(), u8::from(date.month()));
        let digits = format!("990000{year}{month:02}{:02}{order:03}", date.day());
        let check = gb11643_check_character(&digits).unwrap();
        let person = format!("{digits}{check}");
        let form = every();
        let forms = asked(&form, &person);
        prop_assert!(forms.contains(&person) && forms.len() <= form.most());
        for written in &forms {
            let back = form.of_cell(Cell::Text(written));
            prop_assert_eq!(back.as_deref(), Some(&*person), "{}", written);
            prop_assert!(form.is_found(Cell::Text(written), &|number| number == person));
        }
    }
}

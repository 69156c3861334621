//! The form of the whole, and JSON that is not strict.

use serde_json::json;

use super::*;

#[test]
fn the_form_of_the_whole() {
    const MALFORMED: &str = "GRANT_MALFORMED";
    const SIZE: &str = "GRANT_SIZE";
    run(&[
        ("empty", MALFORMED, MALFORMED, |a| text(a, |_| String::new())),
        ("a tilde", MALFORMED, MALFORMED, |a| text(a, |_| "~".to_owned())),
        ("no tilde at the end", MALFORMED, MALFORMED, |a| {
            text(a, |text| text.trim_end_matches('~').to_owned());
        }),
        ("key binding", MALFORMED, MALFORMED, |a| text(a, |text| text + "e30.e30.AAAA")),
        ("trailing garbage", MALFORMED, MALFORMED, |a| text(a, |text| text + "x")),
        ("trailing newline", MALFORMED, MALFORMED, |a| text(a, |text| text + "\n")),
        ("trailing tilde", MALFORMED, MALFORMED, |a| text(a, |text| text + "~")),
        ("leading space", MALFORMED, MALFORMED, |a| text(a, |text| format!(" {text}"))),
        ("empty disclosure", MALFORMED, MALFORMED, |a| {
            text(a, |text| text.replacen('~', "~~", 1));
        }),
        ("a zero byte", MALFORMED, MALFORMED, |a| text(a, |text| text + "\0~")),
        ("two parts", MALFORMED, MALFORMED, |a| {
            parts(a, |mut parts| {
                parts[0] = parts[0].rsplit_once('.').unwrap().0.to_owned();
                parts
            });
        }),
        ("four parts", MALFORMED, MALFORMED, |a| {
            parts(a, |mut parts| {
                parts[0] += ".AAAA";
                parts
            });
        }),
        ("padded base64", MALFORMED, MALFORMED, |a| {
            parts(a, |mut parts| {
                parts[0] += "==";
                parts
            });
        }),
        ("stray bits in the signature", MALFORMED, MALFORMED, |a| {
            parts(a, |mut parts| {
                // 64 bytes leave four unused bits in the last character.
                let last = parts[0].pop().unwrap();
                let stray = char::from(last as u8 + 1);
                parts[0].push(stray);
                parts
            });
        }),
        ("oversize", SIZE, SIZE, |a| text(a, |text| text + &"A".repeat(64 * 1024) + "~")),
        ("too many disclosures", SIZE, SIZE, |a| text(a, |text| text + &"AAAA~".repeat(66))),
        ("payload not UTF-8", MALFORMED, MALFORMED, |a| {
            parts(a, |mut parts| {
                parts[0] = format!("{}.{}.AAAA", parts[0].split('.').next().unwrap(), "__79");
                parts
            });
        }),
        ("nested deeply", MALFORMED, MALFORMED, |a| {
            a.claims["purpose"] = json!([[[[[[[[1]]]]]]]]);
        }),
        ("nested very deeply", MALFORMED, MALFORMED, |a| {
            payload(a, |_| "[".repeat(4000));
        }),
        ("trailing JSON", MALFORMED, MALFORMED, |a| payload(a, |text| text + "{}")),
        ("duplicate claim", MALFORMED, MALFORMED, |a| {
            payload(a, |text| text.replacen('{', "{\"mode\":\"STORE\",", 1));
        }),
        ("duplicate claim by escape", MALFORMED, MALFORMED, |a| {
            payload(a, |text| text.replacen('{', "{\"mod\\u0065\":\"VIEW\",", 1));
        }),
        ("duplicate nested claim", MALFORMED, MALFORMED, |a| {
            payload(a, |text| text.replacen("\"count\":3", "\"count\":3,\"count\":9", 1));
        }),
        ("fraction", MALFORMED, MALFORMED, |a| {
            payload(a, |text| text.replacen("\"count\":3", "\"count\":3.0", 1));
        }),
        ("crowded object", MALFORMED, MALFORMED, |a| {
            for n in 0..60 {
                a.claims[format!("x{n}")] = n.into();
            }
        }),
    ]);
}

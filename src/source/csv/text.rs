//! A file's bytes as the text that it is: the encoding that the mapping states,
//! checked, and the lines above the header left out. Nothing is replaced: bytes
//! that do not fit refuse the file.

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::refused::Refused;

/// The text of a file.
///
/// # Errors
/// The encoding that the file is not in; holds nothing of the file.
pub(super) fn decode(bytes: Vec<u8>, encoding: &'static Encoding) -> Result<String, Refused> {
    let marked = Encoding::for_bom(&bytes);
    let (encoding, start) = match marked {
        Some((marked, length)) if fits(marked, encoding) => (marked, length),
        Some((marked, _)) => {
            return Err(Refused::form(format!(
                "it begins with the mark of {}, but the mapping has {}: {}",
                marked.name(),
                stated(encoding),
                remedy(marked)
            )));
        }
        None if encoding == UTF_16LE => (without_mark(&bytes), 0),
        None => (encoding, 0),
    };
    if encoding == UTF_8 {
        return utf8(bytes, start);
    }
    let bytes = bytes.get(start..).unwrap_or_default();
    let two_bytes = encoding == UTF_16LE || encoding == UTF_16BE;
    if !two_bytes && looks_like_utf8(bytes) {
        return Err(Refused::form(format!(
            "it is in UTF-8, but the mapping has `encoding = \"{}\"`: remove that key",
            encoding.name().to_ascii_lowercase()
        )));
    }
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let most = decoder.max_utf8_buffer_length_without_replacement(bytes.len());
    let mut text = String::with_capacity(most.unwrap_or_default());
    let (result, read) = decoder.decode_to_string_without_replacement(bytes, &mut text, true);
    match result {
        DecoderResult::InputEmpty => Ok(text),
        _ if read + 4 > bytes.len() => {
            Err(Refused::torn("it ends within a character: it is still being written".to_owned()))
        }
        _ => Err(Refused::form(format!(
            "line {} is not in {}: state the `encoding` that the file has",
            text.matches('\n').count() + 1,
            encoding.name()
        ))),
    }
}

/// Whether a mark is one of the stated encoding.
fn fits(marked: &'static Encoding, stated: &'static Encoding) -> bool {
    marked == stated || (marked == UTF_16BE && stated == UTF_16LE)
}

fn stated(encoding: &'static Encoding) -> String {
    match encoding {
        encoding if encoding == UTF_8 => "no `encoding`, which means UTF-8".to_owned(),
        other => format!("`encoding = \"{}\"`", other.name().to_ascii_lowercase()),
    }
}

fn remedy(marked: &'static Encoding) -> String {
    match marked {
        marked if marked == UTF_8 => "remove `encoding`".to_owned(),
        _ => "state `encoding = \"utf-16\"`".to_owned(),
    }
}

/// UTF-16 without a mark: a header of Latin letters has a zero in each.
fn without_mark(bytes: &[u8]) -> &'static Encoding {
    match bytes {
        [0, second, ..] if *second != 0 => UTF_16BE,
        _ => UTF_16LE,
    }
}

fn utf8(bytes: Vec<u8>, start: usize) -> Result<String, Refused> {
    if bytes.iter().take(64).any(|byte| *byte == 0) {
        let why = "it has zero bytes, as UTF-16 has: state `encoding = \"utf-16\"`";
        return Err(Refused::form(why.to_owned()));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let wrong = error.utf8_error();
        if wrong.error_len().is_none() {
            let why = "it ends within a character: it is still being written";
            return Refused::torn(why.to_owned());
        }
        let before = error.as_bytes().iter().take(wrong.valid_up_to());
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        Refused::form(format!(
            "line {line} is not in UTF-8: state the `encoding` that the file has, such as \"gbk\""
        ))
    })?;
    text.drain(..start);
    Ok(text)
}

/// Whether bytes that are said to be something else are UTF-8, beyond chance: they
/// are valid and hold a character of three bytes or more, as Chinese ones are.
fn looks_like_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().any(|c| c >= '\u{800}'))
}

/// The text below so many lines.
pub(super) fn below(text: &str, lines: usize) -> &str {
    let mut rest = text;
    for _ in 0..lines {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest
}

#[cfg(test)]
mod tests {
    use encoding_rs::{GB18030, GBK, WINDOWS_1252};

    use super::*;
    use crate::domain::reason::Reason;

    fn decoded(bytes: &[u8], encoding: &'static Encoding) -> Result<String, String> {
        decode(bytes.to_vec(), encoding).map_err(|refused| refused.why)
    }

    /// `学历` and a line break, in each encoding.
    const LEVEL: &[(&[u8], &Encoding)] = &[
        ("学历\n".as_bytes(), UTF_8),
        ("\u{feff}学历\n".as_bytes(), UTF_8),
        (b"\xd1\xa7\xc0\xfa\n", GBK),
        (b"\xd1\xa7\xc0\xfa\n", GB18030),
        (b"\xff\xfef\x5b\x86\x53\n\0", UTF_16LE),
        (b"\xfe\xff\x5bf\x53\x86\0\n", UTF_16LE),
        (b"\x5bf\x53\x86\0\n", UTF_16BE),
    ];

    #[test]
    fn each_encoding_gives_the_same_text_and_a_wrong_one_is_named() {
        for (bytes, encoding) in LEVEL {
            assert_eq!(decoded(bytes, encoding).unwrap(), "学历\n", "{}", encoding.name());
        }
        assert_eq!(decoded(b"n\xe9\n", WINDOWS_1252).unwrap(), "né\n");
        assert_eq!(decoded(b"a\0,\0b\0\n\0", UTF_16LE).unwrap(), "a,b\n");
        assert_eq!(decoded(b"\0a\0,\0b\0\n", UTF_16LE).unwrap(), "a,b\n");
        for (bytes, encoding, phrase) in [
            (LEVEL[2].0, UTF_8, "not in UTF-8: state the `encoding`"),
            (LEVEL[4].0, UTF_8, "state `encoding = \"utf-16\"`"),
            (b"a\0,\0b\0\n\0", UTF_8, "state `encoding = \"utf-16\"`"),
            (LEVEL[0].0, GBK, "it is in UTF-8, but"),
            (LEVEL[1].0, GBK, "remove `encoding`"),
            (LEVEL[4].0, GBK, "state `encoding = \"utf-16\"`"),
            (b"a,b\n\xff\xff,1\n2,3\n", GBK, "line 2 is not in GBK"),
        ] {
            let refused = decoded(bytes, encoding).unwrap_err();
            assert!(refused.contains(phrase), "{phrase}: {refused}");
        }
    }

    #[test]
    fn a_cut_within_a_character_is_torn_and_no_other_encoding() {
        for (bytes, encoding) in LEVEL {
            let cut = &bytes[..bytes.len() - if bytes.len() % 2 == 0 { 3 } else { 2 }];
            let refused = decode(cut.to_vec(), encoding);
            if let Err(refused) = refused {
                assert_eq!(
                    refused.alarm,
                    Reason::SourceTorn,
                    "{}: {}",
                    encoding.name(),
                    refused.why
                );
            }
        }
        let cut = decode("学".as_bytes()[..2].to_vec(), UTF_8).unwrap_err();
        assert!(cut.why.contains("within a character"), "{}", cut.why);
    }

    #[test]
    fn lines_above_the_header_are_left_out() {
        assert_eq!(below("title\nid,n\n1,2\n", 1), "id,n\n1,2\n");
        assert_eq!(below("title\n", 3), "");
        assert_eq!(below("id\n", 0), "id\n");
    }
}

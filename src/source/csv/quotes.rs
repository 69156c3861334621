//! Whether the quotes of a file are where RFC 4180 has them. The CSV reader takes
//! more than that, and a stray quote would swallow the people between it and the
//! next.

use super::refused::Refused;

/// Where in a line the scan is.
enum At {
    /// A field begins.
    Start,
    /// In a field without quotes, in which a quote is a character as any other.
    Plain,
    /// Between two quotes.
    Quoted,
    /// Behind a quote that closes, or is the first half of a doubled one.
    Closed,
}

/// Checks every quoted field; `line` is that of the first.
///
/// # Errors
/// The line of a quote that is not closed, or has more behind it.
pub(super) fn check(text: &str, delimiter: u8, line: usize) -> Result<(), Refused> {
    let (mut at, mut line, mut opened) = (At::Start, line, line);
    for byte in text.bytes() {
        let ends = byte == delimiter || byte == b'\n' || byte == b'\r';
        at = match at {
            At::Start | At::Plain | At::Closed if ends => At::Start,
            At::Start if byte == b'"' => {
                opened = line;
                At::Quoted
            }
            At::Start | At::Plain => At::Plain,
            At::Quoted if byte == b'"' => At::Closed,
            At::Closed if byte == b'"' => At::Quoted,
            At::Quoted => At::Quoted,
            At::Closed => {
                return Err(Refused::form(format!(
                    "a cell that begins in line {opened} has more behind its closing quote, as \
                     after a stray quote"
                )));
            }
        };
        line += usize::from(byte == b'\n');
    }
    match at {
        At::Quoted => Err(Refused::torn(format!(
            "the quote of a cell that begins in line {opened} is not closed: the file is still \
             being written, or it is a stray quote"
        ))),
        At::Start | At::Plain | At::Closed => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_stray_quote_is_found_and_a_legal_one_is_not() {
        for legal in
            ["a,b\n1,\"x\"\n", "\"a\"\"b\",\"\"\r\n", "5\" pipe,7\n", "\"a\nb\",7\n", "\"a\""]
        {
            assert_eq!(check(legal, b',', 1), Ok(()), "{legal:?}");
        }
        for (stray, phrase) in [
            ("a,\"7\nb,8\n", "begins in line 1 is not closed"),
            ("a,b\nc,\"7\nd,\"8\n", "begins in line 2 has more behind"),
            ("\"a\" ,7\n", "more behind"),
        ] {
            let refused = check(stray, b',', 1).unwrap_err();
            assert!(refused.why.contains(phrase), "{stray:?}: {}", refused.why);
        }
    }
}

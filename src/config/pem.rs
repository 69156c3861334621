//! The one reader of PEM files (RFC 7468): anchors, chains, revocation lists and keys.
//!
//! Byte-order marks, margins and missing line ends are taken, as editors and `cat` leave
//! them. Nothing that begins like a block is passed over: each is read, or the file is
//! refused with what is wrong with it, since an authority or a list that is left out in
//! silence is missed when it matters. What the blocks hold is the caller's matter.

use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, SubjectPublicKeyInfoDer,
};

/// Why a file is not taken. Who asks says which file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Nothing of the kind is in it.
    #[error("there is no {0} in it")]
    Nothing(&'static str),
    /// It is binary.
    #[error("it is binary (DER): convert it to PEM, with `openssl … -inform der`")]
    Binary,
    /// It is UTF-16.
    #[error("it is UTF-16, by the byte-order mark that it begins with: save it as plain text")]
    Utf16,
    /// The key needs a password.
    #[error(
        "the private key is encrypted, and no password is asked for: decrypt it, with \
         `openssl pkey`, and let its owner alone read the file"
    )]
    Encrypted,
    /// A block of another kind.
    #[error("line {line} begins a block `{label}`, which is not read here: convert or remove it")]
    Label {
        /// Where.
        line: usize,
        /// What it calls itself.
        label: String,
    },
    /// Two keys.
    #[error("there are {0} private keys in it: leave the one that is meant")]
    Several(usize),
    /// A block that cannot be decoded.
    #[error("the block that begins in line {line} cannot be read ({problem})")]
    Broken {
        /// Where.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// What another reader would pass over.
    #[error(
        "it has a byte-order mark, margins or joined lines, which the database's driver does \
         not read: write each block from the beginning of a line"
    )]
    Untidy,
}

const UNENDED: &str = "it does not end";

const BEGIN: &str = "-----BEGIN ";

/// Reads authorities' certificates, of which nothing else may stand in the file.
///
/// # Errors
/// [`PemError`], also when there is none.
pub fn authorities(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let blocks = read(file, &["CERTIFICATE"])?;
    some(of(blocks, SectionKind::Certificate), "certificate")
}

/// Holds a file of authorities to being read whole by a driver that reads it itself, and
/// plainly.
///
/// # Errors
/// [`PemError`].
pub fn plain_authorities(file: &[u8]) -> Result<(), PemError> {
    let found = authorities(file)?;
    match CertificateDer::pem_slice_iter(file).filter(Result::is_ok).count() {
        count if count == found.len() => Ok(()),
        _ => Err(PemError::Untidy),
    }
}

/// Reads a certificate chain, beside which its key may stand.
///
/// # Errors
/// [`PemError`], also when there is no certificate.
pub fn chain(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let beside = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"];
    let blocks = read(file, &[&["CERTIFICATE", "EC PARAMETERS"], &beside[..]].concat())?;
    some(of(blocks, SectionKind::Certificate), "certificate")
}

/// Reads revocation lists, of which nothing else may stand in the file.
///
/// # Errors
/// [`PemError`], also when there is none.
pub fn lists(file: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    some(of(read(file, &["X509 CRL"])?, SectionKind::Crl), "revocation list")
}

/// Reads the one private key, beside which its certificates may stand.
///
/// # Errors
/// [`PemError`], also when there is none, or several.
pub fn private_key(file: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    const WHAT: &str = "private key (PKCS #8, or of RSA or EC)";
    let known =
        ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "EC PARAMETERS", "CERTIFICATE"];
    let blocks = read(file, &known)?;
    let keys = blocks.into_iter().filter_map(|(kind, der)| PrivateKeyDer::from_pem(kind, der));
    let mut keys = some(keys.collect(), WHAT)?;
    match keys.len() {
        1 => keys.pop().ok_or(PemError::Nothing(WHAT)),
        several => Err(PemError::Several(several)),
    }
}

/// Reads a public key.
///
/// # Errors
/// [`PemError`], also when there is none, or something beside it.
pub fn public_key(file: &[u8]) -> Result<SubjectPublicKeyInfoDer<'static>, PemError> {
    let blocks = read(file, &["PUBLIC KEY"])?;
    match <[_; 1]>::try_from(of(blocks, SectionKind::PublicKey)) {
        Ok([key]) => Ok(key),
        Err(_) => Err(PemError::Nothing("single public key")),
    }
}

fn of<T: From<Vec<u8>>>(blocks: Vec<(SectionKind, Vec<u8>)>, wanted: SectionKind) -> Vec<T> {
    blocks.into_iter().filter(|(kind, _)| *kind == wanted).map(|(_, der)| der.into()).collect()
}

fn some<T>(found: Vec<T>, what: &'static str) -> Result<Vec<T>, PemError> {
    if found.is_empty() { Err(PemError::Nothing(what)) } else { Ok(found) }
}

/// Reads every block, or none.
fn read(file: &[u8], known: &[&str]) -> Result<Vec<(SectionKind, Vec<u8>)>, PemError> {
    if file.starts_with(&[0xff, 0xfe]) || file.starts_with(&[0xfe, 0xff]) {
        return Err(PemError::Utf16);
    }
    let text = String::from_utf8_lossy(file);
    if !text.contains("BEGIN ") && file.first() == Some(&0x30) {
        return Err(PemError::Binary);
    }
    let (text, lines) = tidied(&text);
    let mut begun = Vec::new();
    for (line, number) in text.lines().zip(lines) {
        if line.starts_with("Proc-Type:") && line.contains("ENCRYPTED") {
            return Err(PemError::Encrypted);
        }
        let Some(label) = label(line) else { continue };
        if !known.contains(&label) {
            return Err(match label {
                "ENCRYPTED PRIVATE KEY" => PemError::Encrypted,
                _ => PemError::Label { line: number, label: label.escape_default().to_string() },
            });
        }
        begun.push((number, label));
    }
    let mut blocks = Vec::new();
    // The reader passes this one over: it says of an EC key what the key says itself.
    begun.retain(|(_, label)| *label != "EC PARAMETERS" && *label != "ENCRYPTED PRIVATE KEY");
    let mut begun = begun.into_iter();
    for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
        let line = begun.next().map_or(0, |(line, _)| line);
        blocks.push(block.map_err(|error| PemError::Broken { line, problem: problem(&error) })?);
    }
    match begun.next() {
        None => Ok(blocks),
        Some((line, _)) => Err(PemError::Broken { line, problem: UNENDED }),
    }
}

/// In our words: the library's hold parts of the file.
const fn problem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => UNENDED,
        pem::Error::IllegalSectionStart { .. } => "its first line holds more than `BEGIN …`",
        pem::Error::SectionTooLarge => "it is too large",
        _ => "it is no base64",
    }
}

/// What a line that begins like a block says that the block is, however it writes that.
fn label(line: &str) -> Option<&str> {
    let dashes = |letter: char| "-‐‑‒–—―−".contains(letter);
    let label = match line.strip_prefix(BEGIN) {
        Some(label) => label,
        // Dashes of a word processor, too few of them, or small letters.
        None => {
            let words = line.trim_start_matches(dashes).trim_start();
            let begins = words.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("begin "));
            (begins && line.starts_with(dashes)).then_some(words)?
        }
    };
    // What follows on the same line may be the key itself.
    label.split(dashes).next()
}

/// The text with each `BEGIN` on a line of its own and without margins, and for each line
/// where in the file it stands.
fn tidied(text: &str) -> (String, Vec<usize>) {
    let (mut tidy, mut numbers) = (String::new(), Vec::new());
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.split_inclusive(['\n', '\r']).scan(1, |number, line| {
        let this = *number;
        *number += usize::from(!line.ends_with('\r'));
        Some((this, line))
    });
    for (number, line) in lines {
        for (at, part) in line.split(BEGIN).enumerate() {
            let begins = if at > 0 { BEGIN } else { "" };
            if at > 0 || !part.trim().is_empty() {
                tidy.extend([begins, part.trim(), "\n"]);
                numbers.push(number);
            }
        }
    }
    (tidy, numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nb25l\n-----END CERTIFICATE-----\n";
    const TWO: &str = "-----BEGIN CERTIFICATE-----\ndHdv\n-----END CERTIFICATE-----\n";
    /// The word "key" where one would be. In two parts, so that nobody who searches for keys
    /// takes it for one.
    const KEY: &str = concat!("-----BEGIN ", "PRIVATE KEY-----\na2V5\n-----END PRIVATE KEY-----\n");

    fn both() -> [CertificateDer<'static>; 2] {
        [b"one".to_vec().into(), b"two".to_vec().into()]
    }

    #[test]
    fn row_66_every_block_is_taken_however_it_stands() {
        let plain = format!("{ONE}{TWO}");
        let margin: String = plain.lines().map(|line| format!("\t  {line} \n")).collect();
        for text in [
            plain.clone(),
            format!("\u{feff}{plain}"),
            format!("  {plain}"),
            margin,
            format!("{}{TWO}", ONE.trim_end()),
            format!("{ONE}\u{feff}{TWO}"),
            plain.replace('\n', "\r\n"),
            plain.replace('\n', "\r"),
            format!("# one\n\n{ONE}\nsubject=two\n    Version: 3 (0x2)\n\n{TWO}no end of line"),
            plain.replace("b25l", "b2\n5 l"),
        ] {
            assert_eq!(authorities(text.as_bytes()).as_deref(), Ok(&both()[..]), "{text:?}");
        }
    }

    #[test]
    fn row_66_what_begins_like_a_block_and_is_none_is_refused_with_its_line() {
        let line = |text: &str| match authorities(text.as_bytes()).unwrap_err() {
            PemError::Label { line, .. } | PemError::Broken { line, .. } => line,
            other => panic!("{other:?}"),
        };
        for broken in [
            ONE.replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
            ONE.replace("CERTIFICATE", "X509 CERTIFICATE"),
            ONE.replace("-----BEGIN", "----BEGIN"),
            ONE.replace("-----BEGIN", "—BEGIN"),
            ONE.replace("BEGIN CERTIFICATE", "begin certificate"),
            ONE.replace("BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE"),
            ONE.replace("-----END", "----END"),
            ONE.replace("b25l", "b25!"),
            ONE.replace('\n', " "),
            ONE.replace('\n', "\\n"),
            KEY.to_owned(),
        ] {
            assert_eq!(line(&format!("# comment\n{broken}")), 2, "{broken:?}");
            assert_eq!(line(&format!("{ONE}\r\n{}", broken.trim_start())), 5, "{broken:?}");
            authorities(format!("{broken}{ONE}").as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn the_right_file_in_a_wrong_form_is_told_so() {
        let legacy =
            KEY.replace("a2V5", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\na2V5");
        let wide: Vec<u8> =
            format!("\u{feff}{KEY}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (file, wanted) in [
            (KEY.replace("PRIVATE", "ENCRYPTED PRIVATE").into_bytes(), PemError::Encrypted),
            (legacy.into_bytes(), PemError::Encrypted),
            (vec![0x30, 0x03, 0x02, 0x01, 0x00], PemError::Binary),
            (wide, PemError::Utf16),
            (format!("{KEY}{KEY}").into_bytes(), PemError::Several(2)),
        ] {
            assert_eq!(private_key(&file).unwrap_err(), wanted);
        }
        assert!(matches!(private_key(b"").unwrap_err(), PemError::Nothing(_)));
        assert!(matches!(private_key(ONE.as_bytes()).unwrap_err(), PemError::Nothing(_)));
    }

    #[test]
    fn a_key_stands_beside_its_chain_and_nowhere_else() {
        let curve =
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        let file = format!("{ONE}{curve}{KEY}{TWO}");
        assert_eq!(chain(file.as_bytes()).as_deref(), Ok(&both()[..]));
        assert_eq!(private_key(format!("\u{feff}{file}").as_bytes()).unwrap().secret_der(), b"key");
        authorities(file.as_bytes()).unwrap_err();
        lists(file.as_bytes()).unwrap_err();
        public_key(file.as_bytes()).unwrap_err();
    }

    /// A message goes to logs, and the file may be a key.
    #[test]
    fn no_message_holds_what_the_file_holds() {
        for file in [
            KEY.replace('\n', ""),
            KEY.replace('\n', " "),
            KEY.replace("BEGIN PRIVATE", "BEGIN THE PRIVATE"),
            KEY.replace("BEGIN", "begin").replace('\n', ""),
            KEY.replace("-----END PRIVATE KEY-----", "a2V5"),
            KEY.replace("a2V5", "a2V5!"),
        ] {
            let told = private_key(file.as_bytes()).unwrap_err().to_string();
            assert!(!told.contains("a2V5"), "{told}");
        }
    }

    #[test]
    fn a_driver_that_reads_less_is_not_given_the_file() {
        plain_authorities(format!("{ONE}{TWO}").as_bytes()).unwrap();
        for file in [format!("\u{feff}{ONE}{TWO}"), format!("{ONE} {TWO}")] {
            assert_eq!(plain_authorities(file.as_bytes()), Err(PemError::Untidy), "{file:?}");
        }
    }
}

//! A query's `subject_form`, compiled.

use aws_lc_rs::{digest, hmac};
use toml::Spanned;

use super::Compiler;
use crate::config::mapping::{HashAlgorithm, HashEntry, QueryEntry, StepEntry};
use crate::config::private_file;
use crate::domain::subject::MAX_BYTES;
use crate::files;
use crate::source::subject::{Hash, SubjectForm, SubjectStep};

/// The shortest key of a hash: less could be found by trying.
const MIN_KEY_BYTES: usize = 16;

/// Reads the steps, with their keys.
pub(super) fn compile(compiler: &mut Compiler<'_>, query: &QueryEntry) -> SubjectForm {
    let steps = &query.subject_form;
    let mut compiled = Vec::with_capacity(steps.len());
    for (at, entry) in steps.iter().enumerate() {
        if steps.iter().take(at).any(|before| same(before.get_ref(), entry.get_ref())) {
            compiler.find(entry, "this step of `subject_form` is there twice: keep one".to_owned());
        }
        let step = match entry.get_ref() {
            StepEntry::Trim => Some(SubjectStep::Trim),
            StepEntry::Upper => Some(SubjectStep::Upper),
            StepEntry::Digits15To18 => Some(SubjectStep::Digits15To18),
            StepEntry::ZeroPad(width) => {
                if !(1..=MAX_BYTES).contains(width) {
                    let message = format!("`zero_pad` is {width}: use 1 to {MAX_BYTES} characters");
                    compiler.find(entry, message);
                }
                Some(SubjectStep::ZeroPad(*width))
            }
            StepEntry::Hash(hash) => {
                if at + 1 < steps.len() {
                    let message =
                        "`hash` is the last step: nothing is known of the number behind it";
                    compiler.find(entry, message.to_owned());
                }
                self::hash(compiler, entry, hash).map(SubjectStep::Hash)
            }
        };
        compiled.extend(step);
    }
    SubjectForm::new(compiled)
}

fn same(one: &StepEntry, other: &StepEntry) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

fn hash(compiler: &mut Compiler<'_>, at: &Spanned<StepEntry>, entry: &HashEntry) -> Option<Hash> {
    let algorithm = match entry.algorithm {
        HashAlgorithm::HmacSha256 => hmac::HMAC_SHA256,
        HashAlgorithm::HmacSha384 => hmac::HMAC_SHA384,
        HashAlgorithm::HmacSha512 => hmac::HMAC_SHA512,
        HashAlgorithm::Sha256 => {
            if entry.key_file.is_some() {
                let message = "`sha-256` has no key: remove `key_file`, or use `hmac-sha-256`";
                compiler.find(at, message.to_owned());
            }
            return Some(Hash::Plain(&digest::SHA256));
        }
    };
    let Some(file) = &entry.key_file else {
        compiler.find(at, "the hash has a key: name its `key_file`".to_owned());
        return None;
    };
    let path = compiler.folder.join(file);
    match private_file::read(&path, files::SMALL) {
        Ok(key) if key.len() >= MIN_KEY_BYTES => {
            Some(Hash::Keyed(Box::new(hmac::Key::new(algorithm, &key))))
        }
        Ok(_) => {
            let message = format!(
                "`{}` has fewer than {MIN_KEY_BYTES} bytes: a key so short can be guessed",
                path.display()
            );
            compiler.find(at, message);
            None
        }
        Err(error) => {
            let message =
                format!("the hash's key `{}`: {error}; run chmod 600 on it", path.display());
            compiler.find(at, message);
            None
        }
    }
}

//! Proof types: holding one means that a check was made, so each is made in one place
//! alone.

use super::syntax::{File, OURS, files};

/// A proof, and the folder or file without which nobody makes one.
struct Proof {
    name: &'static str,
    /// The constructor, where it is one that other modules can name.
    constructor: Option<&'static str>,
    made_in: &'static str,
}

const PROOFS: [Proof; 5] = [
    // The identity in a certificate that was verified.
    Proof { name: "PeerId", constructor: Some("from_verified_certificate"), made_in: "src/link" },
    // Everything that a grant must hold, for this receiver, now.
    Proof { name: "VerifiedGrant", constructor: None, made_in: "src/domain/grant/verified" },
    // What may be read, for each agency.
    Proof { name: "Permit", constructor: None, made_in: "src/domain/policy" },
    // The request's records are on disk.
    Proof {
        name: "Receipt",
        constructor: Some("from_durable_log"),
        made_in: "src/store/audit_log",
    },
    // The reply, which wants a receipt to be built.
    Proof { name: "GetProfileResponse", constructor: None, made_in: "src/wire/profile" },
];

impl Proof {
    /// Whether a file may make it: the one that says so, or one of a folder of that name.
    fn may(&self, path: &str) -> bool {
        path.strip_prefix(self.made_in).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// Whether a file builds the value, or calls or passes on what does.
    fn is_made_by(&self, file: &File) -> bool {
        match self.constructor {
            Some(constructor) => file.paths.iter().flatten().any(|name| name == constructor),
            None => {
                let by_default = |path: &Vec<String>| matches!(path.as_slice(), [.., name, call] if name == self.name && call == "default");
                file.built.iter().any(|built| built == self.name)
                    || file.paths.iter().any(by_default)
            }
        }
    }
}

/// Files that make a proof and may not.
fn makers(files: &[File]) -> Vec<String> {
    let of = |proof: &'static Proof| {
        let others = files.iter().filter(|file| proof.is_made_by(file) && !proof.may(&file.path));
        others.map(|file| format!("{} makes a {}", file.path, proof.name))
    };
    PROOFS.iter().flat_map(of).collect()
}

#[test]
fn a_proof_is_made_where_it_is_proved_alone() {
    let files = &*OURS;
    assert_eq!(makers(files), Vec::<String>::new());
    for proof in &PROOFS {
        let makes = |file: &&File| proof.may(&file.path) && proof.is_made_by(file);
        assert_eq!(files.iter().filter(makes).count(), 1, "files that make a {}", proof.name);
    }
}

#[test]
fn a_proof_made_elsewhere() {
    let call = "fn f() { PeerId::from_verified_certificate(id); }";
    let passed_on = "fn f() { ids.map(PeerId::from_verified_certificate); }";
    for text in [call, passed_on] {
        for path in ["src/service/edge.rs", "src/domain/peer.rs", "src/linkage.rs"] {
            assert_eq!(makers(&files(&[(path, text)])), [format!("{path} makes a PeerId")]);
        }
        assert!(makers(&files(&[("src/link/verify.rs", text)])).is_empty());
    }
    let test = format!("#[cfg(test)] mod tests {{ {call} }}");
    assert!(makers(&files(&[("src/service/edge.rs", &test)])).is_empty());
    let receipt = "fn f() { Receipt::from_durable_log(0, leaves, checkpoint); }";
    assert!(makers(&files(&[("src/store/audit_log/writer.rs", receipt)])).is_empty());
    assert_eq!(makers(&files(&[("src/store/proof.rs", receipt)])).len(), 1);
}

#[test]
fn a_value_built_elsewhere() {
    let built = [
        ("src/wire/profile.rs", "fn f() -> R { pb::GetProfileResponse { receipt: None } }"),
        ("src/service/a.rs", "fn f() -> R { GetProfileResponse { ..r } }"),
        ("src/service/b.rs", "fn f() -> R { pb::GetProfileResponse::default() }"),
        ("src/service/c.rs", "fn f(r: pb::GetProfileResponse) -> pb::GetProfileResponse { r }"),
        ("src/domain/grant/signed.rs", "impl VerifiedGrant { fn f() -> Self { Self { a: 1 } } }"),
        ("src/domain/grant/verified.rs", "fn f() -> R { Ok(VerifiedGrant { a: 1 }) }"),
        ("src/domain/plan.rs", "fn f() -> R { Permit { agencies } }"),
        ("src/domain/plan.rs", "impl Plan { fn f() -> Self { Self { agencies } } }"),
    ];
    let found: Vec<String> = built.iter().flat_map(|file| makers(&files(&[*file]))).collect();
    assert_eq!(
        found,
        [
            "src/service/a.rs makes a GetProfileResponse",
            "src/service/b.rs makes a GetProfileResponse",
            "src/domain/grant/signed.rs makes a VerifiedGrant",
            "src/domain/plan.rs makes a Permit",
        ]
    );
}

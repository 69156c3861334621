//! A pack computes its own flows, and holds no secret.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::support::{City, review};

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn verify(pack: &Path) -> (Option<i32>, String) {
    let output = review(&["verify-pack", pack.to_str().unwrap()]);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_flows_of_a_pack_follow_from_it_and_no_password_is_in_it() {
    let city = City::new();
    city.replace(
        "agencies/lending.toml",
        "sqlite:../data/lending.db",
        "postgres://reader:hunter2@db.example/lending",
    );
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("pack");
    let made = review(&["pack", city.path().to_str().unwrap(), "-o", pack.to_str().unwrap()]);
    assert!(made.status.success(), "{made:?}");
    let (code, said) = verify(&pack);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("its flows follow from them"), "{said}");
    let lending = std::fs::read_to_string(pack.join("inputs/agencies/lending.toml")).unwrap();
    assert!(lending.contains("postgres://reader@db.example/lending"), "{lending}");
    for file in
        ["inputs/gateway.toml", "inputs/policies/gateway.cedar", "flows.json", "review.html"]
    {
        let text = std::fs::read_to_string(pack.join(file)).unwrap();
        assert!(!text.contains("hunter2"), "{file}");
    }
    assert!(!lending.contains("hunter2"));

    // Whoever leaves a flow out and writes the manifest anew is found all the same.
    let path = pack.join("flows.json");
    let mut flows: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    flows["flows"].as_array_mut().unwrap().pop();
    let text = serde_json::to_string_pretty(&flows).unwrap();
    std::fs::write(&path, &text).unwrap();
    let manifest = pack.join("manifest.json");
    let mut listed: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    listed["files"]["flows.json"] = hex(text.as_bytes()).into();
    std::fs::write(&manifest, serde_json::to_string_pretty(&listed).unwrap()).unwrap();
    let (code, said) = verify(&pack);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("does not follow from inputs: 1 of its entries differ"), "{said}");
}

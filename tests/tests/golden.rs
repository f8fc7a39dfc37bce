//! A verifier file and a proof of each format version, kept in the repository: what was accepted once stays accepted until
//! the version changes, and no file of another version is taken for one of this version.
//!
//! A change of the format needs a new version and new files:
//! `cargo test --release -p nanozk-tests --test golden -- --ignored`.

use nanozk_plan::format::{FormatError, VERSION};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::VerifierKey;
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::{Fixture, lenient};
use nanozk_tests::slow;
use std::path::{Path, PathBuf};

const MODEL: &str = "block-d16-t16";
/// Bytes of the version in the header.
const VERSION_BYTES: std::ops::Range<usize> = 8..12;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/v{VERSION}")).join(name)
}

fn files() -> [Vec<u8>; 2] {
    ["verifier.nanozk", "proof.nanozk"].map(|name| std::fs::read(golden(name)).unwrap())
}

#[test]
fn the_kept_proof_is_accepted() {
    let [verifier, proof] = files();
    let key = VerifierKey::from_bytes(&verifier).unwrap();
    let bundle = Bundle::from_bytes(&proof).unwrap();
    lenient(&key, &bundle).unwrap();
    slow::verify(&key, &bundle).unwrap();
    assert_eq!(key.to_bytes().unwrap(), verifier, "reading and writing keeps every byte");
    assert_eq!(bundle.to_bytes().unwrap(), proof);
}

#[test]
fn other_versions_are_refused() {
    for at in VERSION_BYTES {
        let [mut verifier, mut proof] = files();
        verifier[at] ^= 1;
        proof[at] ^= 1;
        let errors = [VerifierKey::from_bytes(&verifier).map(drop), Bundle::from_bytes(&proof).map(drop)];
        assert!(errors.iter().all(|e| matches!(e, Err(FormatError::Version { .. }))), "{errors:?}");
    }
}

#[test]
#[ignore = "writes the files of a new format version"]
fn write_the_files() {
    let fixture = Fixture::new(MODEL);
    let bundle = fixture.prove(&model_dir(MODEL).join("input.json"));
    std::fs::create_dir_all(golden("")).unwrap();
    std::fs::write(golden("verifier.nanozk"), fixture.key.to_bytes().unwrap()).unwrap();
    std::fs::write(golden("proof.nanozk"), bundle.to_bytes().unwrap()).unwrap();
}

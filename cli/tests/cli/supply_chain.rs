//! Every dependency comes from crates.io with a checksum: no git sources, nothing unlocked.

use std::path::Path;

#[test]
fn locked_dependencies_come_from_the_registry() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = std::fs::read_to_string(path).expect("Cargo.lock is committed");
    let packages: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    assert!(packages.len() > 50, "only {} packages found", packages.len());
    for package in packages {
        let field = |name: &str| package.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim_matches('"'));
        let name = field("name = ").unwrap_or_default();
        match field("source = ") {
            None => assert!(name.starts_with("nanozk-"), "{name} is a path dependency"),
            Some(source) => {
                assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index", "{name}");
                assert!(field("checksum = ").is_some(), "{name} has no checksum");
            }
        }
    }
}

#[test]
fn the_transcript_uses_full_size_challenges() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for manifest in ["Cargo.toml", "proof/Cargo.toml", "runtime/Cargo.toml", "cli/Cargo.toml"] {
        let text = std::fs::read_to_string(root.join(manifest)).expect("manifest");
        assert!(!text.contains("truncated-challenges"), "{manifest}");
    }
}

/// Whoever derives the plan of an integer graph again needs no ONNX reader and no float graph.
#[test]
fn the_layout_needs_neither_tract_nor_petgraph() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "-p", "nanozk-layout", "-e", "normal", "--prefix", "none"])
        .current_dir(root)
        // Whatever the user's settings say: what this one package needs.
        .env("CARGO_RESOLVER_FEATURE_UNIFICATION", "selected")
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(cargo.stdout).expect("text");
    assert!(tree.contains("nanozk-plan"), "{}", String::from_utf8_lossy(&cargo.stderr));
    assert!(!tree.contains("tract") && !tree.contains("petgraph"), "{tree}");
}

//! A copy of the workspace with mutants in it.

use super::rules::{Site, plant};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Files that mutants are planted in, with what they are for.
const PLANTED: [(&str, &[&str]); 7] = [
    ("gadgets", &["layout/src/ops", "layout/src/emit.rs", "layout/src/walk.rs"]),
    ("placing", &["layout/src/place.rs", "layout/src/place", "layout/src/share.rs"]),
    (
        "plan check",
        &[
            "plan/src/check.rs",
            "plan/src/defect.rs",
            "plan/src/products.rs",
            "plan/src/boundaries.rs",
            "plan/src/pinned.rs",
            "plan/src/pinned",
            "plan/src/hiding.rs",
            "plan/src/value_info.rs",
            "plan/src/work.rs",
        ],
    ),
    (
        "statement",
        &[
            "proof/src/circuits.rs",
            "proof/src/statement.rs",
            "layout/src/bounds.rs",
            "layout/src/budget.rs",
            "layout/src/size.rs",
            "ir/src/int/interp/check.rs",
            "ir/src/int/causal.rs",
            "ir/src/int/ops",
        ],
    ),
    (
        "verifier",
        &[
            "proof/src/verify.rs",
            "proof/src/verifier.rs",
            "proof/src/guard.rs",
            "proof/src/linear.rs",
            "proof/src/answer.rs",
            "proof/src/sampling.rs",
            "proof/src/srs.rs",
            "proof/src/srs",
            "proof/src/bundle.rs",
            "proof/src/keys.rs",
            "proof/src/hiding.rs",
            "proof/src/publics.rs",
            "proof/src/transcript.rs",
            "proof/src/layer.rs",
            "proof/src/key_proof",
            "runtime/src/verify.rs",
            "runtime/src/check.rs",
            "runtime/src/compare.rs",
            "audit/src/challenge.rs",
            "audit/src/design.rs",
            "audit/src/draw.rs",
        ],
    ),
    ("circuit", &["proof/src/circuit.rs"]),
    (
        "prover",
        &[
            "proof/src/prover.rs",
            "proof/src/span_proof.rs",
            "proof/src/plonk/mod.rs",
            "runtime/src/setup.rs",
            "runtime/src/prove",
            "runtime/src/commit",
            "runtime/src/layer.rs",
        ],
    ),
];

/// A mutant's place in the workspace.
#[derive(Clone, Debug)]
pub struct Planted {
    /// What the file is for.
    pub area: &'static str,
    /// Path from the workspace's root.
    pub file: String,
    pub site: Site,
}

/// Ids of one file, so that a change in one changes none in another.
const PER_FILE: usize = 1000;

/// Copies the workspace at `root` to `copy` and plants the mutants, which are returned by id.
pub fn make(root: &Path, copy: &Path) -> BTreeMap<usize, Planted> {
    let skipped = |name: &str| name == "target" || name == ".git";
    let walk = WalkDir::new(root).sort_by_file_name().into_iter();
    let files = walk.filter_entry(|entry| !entry.file_name().to_str().is_some_and(skipped));
    let (mut all, mut planted_files) = (BTreeMap::new(), 0);
    for entry in files.filter_map(Result::ok).filter(|entry| entry.file_type().is_file()) {
        let path = entry.path().strip_prefix(root).unwrap();
        let to = copy.join(path);
        let text = fs::read_to_string(entry.path());
        let changed = match (area(path), text) {
            (Some(area), Ok(source)) => {
                planted_files += 1;
                let first = planted_files * PER_FILE;
                let (mutated, sites) = plant(&source, path.starts_with("layout"), first);
                assert!(sites.len() < PER_FILE);
                let file = path.to_str().unwrap().to_string();
                all.extend((first..).zip(sites.into_iter().map(|site| Planted { area, file: file.clone(), site })));
                mutated.into_bytes()
            }
            (None, Ok(manifest)) if path.ends_with("Cargo.toml") => with_mutants(manifest).into_bytes(),
            (None, Ok(main)) if path == Path::new("cli/src/main.rs") => {
                main.replace("assert!(!nanozk_mutants::ON", "assert!(nanozk_mutants::ON").into_bytes()
            }
            _ => fs::read(entry.path()).unwrap(),
        };
        // What has not changed keeps its time, so that it is not built again.
        if fs::read(&to).ok().as_ref() != Some(&changed) {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(&to, changed).unwrap();
        }
    }
    let copied = WalkDir::new(copy).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    for entry in copied.filter(|entry| !root.join(entry.path().strip_prefix(copy).unwrap()).exists()) {
        fs::remove_file(entry.path()).unwrap();
    }
    all
}

/// What a file is for, if mutants are planted in it.
fn area(path: &Path) -> Option<&'static str> {
    let rust = path.extension().is_some_and(|extension| extension == "rs");
    let test = path.components().any(|part| part.as_os_str() == "tests.rs");
    let within = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    PLANTED.iter().find(|(_, places)| rust && !test && within(places)).map(|(area, _)| *area)
}

/// Lets a crate name the mutants.
fn with_mutants(manifest: String) -> String {
    let own = manifest.contains("name = \"nanozk-mutants\"") || manifest.contains("nanozk-mutants.workspace");
    if own || !manifest.contains("\n[dependencies]\n") {
        return manifest;
    }
    manifest.replacen("\n[dependencies]\n", "\n[dependencies]\nnanozk-mutants.workspace = true\n", 1)
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

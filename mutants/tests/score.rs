//! Plants the mutants one at a time and counts those that a test notices.

use nanozk_mutants::{ALL, Killer, VARIABLE};
use std::path::Path;
use std::process::{Command, Output};

/// Runs a test in the build that has the mutants.
fn run(killer: &Killer, planted: &str) -> Output {
    let packages = ["nanozk-mutants", "nanozk-plan", "nanozk-proof", "nanozk-tests"];
    let packages = packages.into_iter().filter(|package| !killer.target.contains(package)).flat_map(|p| ["-p", p]);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).env(VARIABLE, planted);
    cargo.args(["test", "--release", "--features", "nanozk-mutants/on"]).args(packages).args(killer.target);
    cargo.args(["--", "--exact", killer.test]).output().unwrap()
}

#[test]
#[ignore = "builds the tests once more, and runs some of them for each mutant: minutes"]
fn every_mutant_is_noticed() {
    let mut survivors = Vec::new();
    for (mutant, killer) in ALL {
        let honest = run(killer, "");
        let said = String::from_utf8_lossy(&honest.stdout);
        assert!(honest.status.success() && said.contains("test result: ok. 1 passed"), "{}: {said}", killer.test);
        let planted = run(killer, &format!("{mutant:?}"));
        let noticed = String::from_utf8_lossy(&planted.stdout).contains("test result: FAILED");
        println!("{mutant:?}: {}", if noticed { killer.test } else { "SURVIVES" });
        if !noticed {
            survivors.push(mutant);
        }
    }
    println!("{} of {} mutants are noticed", ALL.len() - survivors.len(), ALL.len());
    assert!(survivors.is_empty(), "{survivors:?}");
}

//! `tests/corpus`, which verifiers in other languages are tested with, holds the verdicts of this one. New files, after a
//! change of the format: `cargo test --release -p nanozk-tests --test attacks -- --ignored write_the_corpus`.

use nanozk_plan::format::Kind;
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::VerifierKey;
use nanozk_tests::corpus::{Corpus, Outcome, audited, verdict};
use nanozk_tests::slow;
use std::collections::HashMap;

/// Checks of what a verifier asks for beside proofs that hold.
const ASKED: [&str; 5] = ["partial", "challenge", "other-challenge", "other-commitment", "other-layers"];

/// Flipped bits between two that are looked at.
const STEP: usize = 20;

/// The slow verifier, which asks for nothing beside, gives the same verdicts.
#[test]
fn the_verdicts_are_those_of_this_verifier() {
    let corpus = Corpus::read();
    let mut keys: HashMap<Vec<u8>, Result<VerifierKey, Outcome>> = HashMap::new();
    let (mut accepted, mut compared) = (0, 0);
    for case in &corpus.cases {
        let file = corpus.file(Kind::Verifier, &case.verifier);
        let key = keys.entry(file).or_insert_with_key(|file| VerifierKey::from_bytes(file).map_err(Outcome::from));
        let proof = corpus.file(Kind::Proof, &case.proof);
        let found = key.as_ref().map_or_else(Outcome::clone, |key| match &case.challenge {
            Some(challenge) => audited(key, &proof, challenge),
            None => verdict(key, &proof),
        });
        assert_eq!(found, case.outcome, "{}", case.name);
        accepted += usize::from(found == Outcome::default());
        if let (Ok(key), Ok(bundle)) = (key, Bundle::from_bytes(&proof)) {
            let holds = found.check.is_none_or(|check| ASKED.contains(&&check[..]));
            let slow = slow::verify(key, &bundle);
            assert_eq!(slow.is_ok(), holds, "{}: {slow:?} from the slow verifier", case.name);
            compared += 1;
        }
    }
    assert!(compared > 200, "{compared} of {} have a file and a proof that read", corpus.cases.len());
    assert!(accepted >= 4 && corpus.cases.len() > 10 * accepted, "{accepted} of {} are accepted", corpus.cases.len());
}

#[test]
fn flipped_bits_are_refused_as_noted() {
    let corpus = Corpus::read();
    let key = VerifierKey::from_bytes(&nanozk_plan::format::seal(Kind::Verifier, corpus.payload("single.verifier")));
    let key = key.unwrap();
    assert!(!corpus.flips.outcomes.contains(&Outcome::default()));
    for &(at, bit, place) in corpus.flips.flips.iter().step_by(STEP) {
        let mut forged = corpus.payload("single.proof").to_vec();
        forged[at] ^= 1 << bit;
        let forged = nanozk_plan::format::seal(Kind::Proof, &forged);
        assert_eq!(verdict(&key, &forged), corpus.flips.outcomes[place], "byte {at}, bit {bit}");
    }
}

//! Attacks on finished proofs: every public field, commitment and byte changed, layers moved and spliced, keys swapped.
//! The verifier of these tests insists on nothing, so each rejection is the proof's own. The slow verifier gives its verdict
//! too: on every kind of attack, and on every one of them when [`SLOW_STEP`] is set to 1.

mod bytes;
mod corpus;
mod keys;
mod layers;
mod statement;

use corpus::note;
use nanozk_proof::bundle::Bundle;
use nanozk_proof::keys::VerifierKey;
use nanozk_proof::verify::VerifyError;
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::{Fixture, lenient};
use nanozk_tests::slow;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Bytes between two flipped ones in the sampled tests.
const STEP: usize = 97;

/// Attacks of one kind between two that the slow verifier sees; `NANOZK_SLOW_STEP=1` shows it all.
static SLOW_STEP: LazyLock<usize> =
    LazyLock::new(|| std::env::var("NANOZK_SLOW_STEP").ok().and_then(|step| step.parse().ok()).unwrap_or(10));

/// One layer, public input and output.
static SINGLE: LazyLock<(Fixture, Bundle)> = LazyLock::new(|| {
    let fixture = Fixture::new("block-d16-t16");
    let bundle = fixture.prove(&model_dir("block-d16-t16").join("input.json"));
    (fixture, bundle)
});

/// A chain of layers with two proofs of one input and one of another.
struct Chain {
    fixture: Fixture,
    first: Bundle,
    again: Bundle,
    other: Bundle,
}

static CHAIN: LazyLock<Chain> = LazyLock::new(|| {
    let fixture = Fixture::new("llama-d64-l2");
    let input = model_dir("llama-d64-l2").join("input.json");
    let reversed = fixture.reversed(&input);
    let (first, again, other) = (fixture.prove(&input), fixture.prove(&input), fixture.prove(&reversed));
    assert!(first.layers.len() > 2 && first.committed.len() > 1);
    Chain { fixture, first, again, other }
});

/// Counts forged bundles; an accepted one fails the test.
struct Attacks<'a> {
    what: &'static str,
    key: &'a VerifierKey,
    honest: &'a Bundle,
    tried: usize,
    kinds: HashSet<String>,
    twice: usize,
}

impl<'a> Attacks<'a> {
    fn new(what: &'static str, key: &'a VerifierKey, honest: &'a Bundle) -> Self {
        lenient(key, honest).unwrap();
        slow::verify(key, honest).unwrap();
        Attacks { what, key, honest, tried: 0, kinds: HashSet::new(), twice: 0 }
    }

    fn forge(&mut self, what: &str, change: impl FnOnce(&mut Bundle)) -> VerifyError {
        let mut forged = self.honest.clone();
        change(&mut forged);
        assert!(forged != *self.honest, "{}: {what} changed nothing", self.what);
        self.rejects(what, self.key, &forged)
    }

    fn rejects(&mut self, what: &str, key: &VerifierKey, forged: &Bundle) -> VerifyError {
        self.tried += 1;
        let kind = what.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        if self.kinds.insert(kind) || self.tried.is_multiple_of(*SLOW_STEP) {
            self.twice += 1;
            assert!(slow::verify(key, forged).is_err(), "{}: {what} was ACCEPTED by the slow verifier", self.what);
        }
        match lenient(key, forged) {
            Ok(_) => panic!("{}: {what} was ACCEPTED", self.what),
            Err(error) => {
                note(&format!("{}: {what}", self.what), key, forged, error.clone());
                error
            }
        }
    }

    fn report(self) {
        assert!(self.tried > 0);
        println!("{}: {} tried, {} rejected, {} of them twice", self.what, self.tried, self.tried, self.twice);
    }
}

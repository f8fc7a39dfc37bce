//! Cheating publishers before the proof of ranges by random projections. Each forged file carries the best proof that
//! there is for it: the circuit's sums all close, and what is wrong is in a looked-up cell or in a fold.

use ff::Field;
use nanozk_ir::int::Known;
use nanozk_proof::error::LayerError;
use nanozk_proof::field::{Fr, G1};
use nanozk_proof::key_proof::identity::{Forged, Source};
use nanozk_proof::key_proof::projection::{PROJECTIONS, Projections, projection_bits, weight_bound};
use nanozk_proof::key_proof::{KeyError, KeyVerdict, check, chunks::limb_bits, prove_forged};
use nanozk_proof::keys::{KeyProof, Limbs, VerifierKey};
use nanozk_proof::weights::WeightColumns;
use nanozk_proof::wire::POINT_BYTES;
use nanozk_runtime::keys::{self, Bases, ProverKeys, RangeProof};
use nanozk_runtime::storage::KeyDir;
use nanozk_tests::fixture::Fixture;
use nanozk_tests::publisher::{Holdings, beside_diagonals};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Bytes between two flipped ones.
const STEP: usize = 211;

/// A publisher whose weights are few, and who proves projections of them all the same.
struct Publisher {
    keys: ProverKeys,
    bases: Bases,
    weights: Vec<WeightColumns>,
    widths: Vec<Vec<u32>>,
    k: u32,
    limbs: u32,
    honest: VerifierKey,
}

static PUBLISHER: LazyLock<Publisher> = LazyLock::new(|| Publisher::new("block-d16-t16"));

impl Publisher {
    fn new(model: &str) -> Self {
        Self::stating(model, |limbs, _| limbs)
    }

    /// States the number of limbs that `limbs` makes of the least that hold all projections, and k.
    fn stating(model: &str, limbs: impl FnOnce(u32, u32) -> u32) -> Self {
        let Holdings { fixture, keys, bases, weights, widths } = Holdings::new(model);
        let k = keys.artifact.shapes[0].plan.geometry.k;
        let limbs = limbs(Projections::limbs(&fixture.key, k, &widths).unwrap(), k);
        let honest = fixture.key;
        let mut publisher = Publisher { keys, bases, weights, widths, k, limbs, honest };
        let proof = publisher.proof(&publisher.honest, &publisher.weights, &[], 1);
        publisher.honest = publisher.honest.clone().with_proof(Some(proof)).unwrap();
        publisher
    }

    /// Width of each limb.
    fn bits(&self) -> u32 {
        projection_bits(self.k, self.limbs).unwrap()
    }

    /// A proof of projections of `weights` with field elements added to cells.
    fn proof(&self, key: &VerifierKey, weights: &[WeightColumns], forged: &[Forged], seed: u64) -> KeyProof {
        self.proof_of(key, weights, forged, key, seed)
    }

    /// The same with folds of the commitments in `folded`.
    fn proof_of(
        &self,
        key: &VerifierKey,
        weights: &[WeightColumns],
        forged: &[Forged],
        folded: &VerifierKey,
        seed: u64,
    ) -> KeyProof {
        let tables: Vec<_> = self.keys.artifact.model.layers.iter().map(|l| l.tables.as_slice()).collect();
        let columns = |layer: usize| weights.get(layer).cloned();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let limbs = Limbs::Projected(self.limbs);
        prove_forged(key, &self.bases, Source { weights: &columns, forged, folded }, &tables, limbs, &mut rng).unwrap()
    }

    /// The honest file, but for commitments to weights with field elements added to cells.
    fn committing(&self, forged: &[Forged]) -> VerifierKey {
        let mut key = self.honest.clone();
        for cell in forged {
            let layer = &mut key.layers[cell.layer];
            let base = &self.bases[&self.k];
            layer.weights[cell.column] += G1::from(base.lagrange()[cell.row]) * cell.value;
        }
        key
    }

    /// The verdict over a file that commits to its weights with field elements added to cells.
    fn publish(&self, forged: &[Forged]) -> Result<KeyVerdict, KeyError> {
        let key = self.committing(forged);
        let proof = self.proof(&key, &self.weights, forged, 2);
        let key = key.with_proof(Some(proof)).unwrap();
        check(&VerifierKey::from_bytes(&key.to_bytes().unwrap()).unwrap(), true)
    }

    /// The verdict over the honest file with its proof changed.
    fn forge(&self, change: impl FnOnce(&mut KeyProof)) -> Result<KeyVerdict, KeyError> {
        let mut proof = self.honest.proof.clone().unwrap();
        change(&mut proof);
        assert_ne!(Some(&proof), self.honest.proof.as_ref(), "nothing changed");
        check(&self.honest.clone().with_proof(Some(proof)).unwrap(), true)
    }

    /// Rows of a column with a weight and rows without, of those that a product reads.
    fn rows(&self, layer: usize, column: u32) -> (Vec<usize>, Vec<usize>) {
        let plan = &self.honest.shapes[self.honest.layers[layer].shape as usize].plan;
        let mut placed = HashSet::new();
        for tile in &plan.tiles {
            let parts = tile.outputs.div_ceil(plan.weight_columns);
            let outputs = (0..tile.outputs).filter(|output| output % plan.weight_columns == column);
            placed.extend(
                outputs.flat_map(|output| {
                    (0..tile.inputs).map(move |i| tile.row + i * parts + output / plan.weight_columns)
                }),
            );
        }
        let (with, without) = (0..plan.operand_rows()).partition::<Vec<u32>, _>(|row| placed.contains(row));
        (with.into_iter().map(|row| row as usize).collect(), without.into_iter().map(|row| row as usize).collect())
    }

    /// Cells with a weight, or without, in the first and the last column of each layer: the first and the last of each.
    fn cells(&self, placed: bool) -> Vec<(usize, usize, usize)> {
        let mut out = Vec::new();
        for (layer, columns) in self.weights.iter().enumerate().filter(|(_, w)| !w.columns.is_empty()) {
            for column in [0, columns.columns.len() - 1] {
                let (with, without) = self.rows(layer, column as u32);
                let rows = if placed { with } else { without };
                let ends = rows.first().into_iter().chain(rows.last());
                out.extend(ends.map(|row| (layer, column, *row)));
            }
        }
        out
    }
}

fn is_range(verdict: Result<KeyVerdict, KeyError>, what: &str) {
    assert!(matches!(verdict, Err(KeyError::Range { .. })), "{what}: {verdict:?}");
}

fn bound(publisher: &Publisher) -> Fr {
    (0..=publisher.limbs * publisher.bits()).fold(Fr::ONE, |bound, _| bound.double())
}

#[test]
fn an_honest_file_is_accepted() {
    let publisher = &*PUBLISHER;
    let verdict = check(&publisher.honest, true).unwrap();
    assert!(!verdict.exact);
    let layers = &publisher.keys.artifact.model.layers;
    assert_eq!(verdict.weights, layers.iter().flat_map(|l| l.weights.sizes()).sum::<u64>());
    let widest = weight_bound(publisher.bits(), publisher.limbs).log2();
    assert_eq!(f64::from(verdict.bits), widest + 1.0);
    assert!(verdict.budget.statistical_bits > 128.0, "{:?}", verdict.budget);
    let exact = Limbs::Exact(publisher.widths.clone());
    let narrow = exact.bounds(&publisher.honest).concat();
    assert!(narrow.iter().all(|bound| bound.log2() < widest), "the exact ranges are narrower");
    let cheapest = Limbs::cheapest(&publisher.honest, &publisher.widths);
    assert_eq!(cheapest, (exact, None), "projections of few weights take more");
}

#[test]
fn great_weights_and_fractions_are_rejected() {
    let publisher = &*PUBLISHER;
    let inverse = |n: u64| Fr::from(n).invert().unwrap();
    let bound = bound(publisher);
    let great = [bound, -bound, inverse(2), -inverse(2), inverse(3), Fr::from(1 << 50) * Fr::from(1 << 50)];
    let cells = publisher.cells(true);
    assert!(!cells.is_empty());
    for (i, (layer, column, row)) in cells.into_iter().enumerate() {
        let publish = |value: Fr| publisher.publish(&[Forged { layer, column, row, value }]);
        is_range(publish(great[i % great.len()]), "a great weight");
        // The bound on projections is met by what is far below that on weights.
        publish(Fr::from(1 << 10)).unwrap();
    }
    for value in great {
        is_range(publisher.publish(&[Forged { layer: 0, column: 0, row: publisher.cells(true)[0].2, value }]), "great");
    }
    // Two that cancel in a row, or in a column, do so where both are chosen.
    let (rows, _) = publisher.rows(0, 0);
    let cell = |row: usize, value| Forged { layer: 0, column: 0, row, value };
    is_range(publisher.publish(&[cell(rows[0], bound), cell(rows[1], -bound)]), "two that cancel");
}

/// As for large models: the last number of limbs, of fewer bits than the circuit's widest ones.
#[test]
fn great_weights_are_rejected_with_narrower_limbs() {
    let publisher = Publisher::stating("block-d16-t16", |_, k| {
        (1..).take_while(|limbs| projection_bits(k, *limbs).is_some()).last().unwrap()
    });
    assert!(publisher.bits() < limb_bits(publisher.k), "2^{} rows have no narrower limbs", publisher.k);
    assert!(!check(&publisher.honest, true).unwrap().exact);
    let (bound, row) = (bound(&publisher), publisher.cells(true)[0].2);
    let publish = |value: Fr| publisher.publish(&[Forged { layer: 0, column: 0, row, value }]);
    for value in [bound, -bound, Fr::from(2).invert().unwrap()] {
        is_range(publish(value), "a great weight");
    }
    publish(Fr::from(1 << 10)).unwrap();
    let (layer, column, row) = publisher.cells(false)[0];
    is_range(publisher.publish(&[Forged { layer, column, row, value: Fr::ONE }]), "1 where 0 must be");
}

#[test]
fn a_weight_where_none_is_placed_is_rejected() {
    let publisher = &*PUBLISHER;
    let cells = publisher.cells(false);
    assert!(!cells.is_empty());
    for &(layer, column, row) in &cells {
        is_range(publisher.publish(&[Forged { layer, column, row, value: Fr::ONE }]), "1 where 0 must be");
    }
    let (layer, column, _) = cells[0];
    let (_, rows) = publisher.rows(layer, column as u32);
    let cell = |row, value| Forged { layer, column, row, value };
    is_range(publisher.publish(&[cell(rows[0], Fr::ONE), cell(rows[1], -Fr::ONE)]), "two that add up to 0");
}

#[test]
fn a_weight_beside_a_diagonal_is_rejected() {
    let publisher = Publisher::new("bert-d64-l2");
    for (layer, column, row) in beside_diagonals(&publisher.honest) {
        is_range(publisher.publish(&[Forged { layer, column, row, value: Fr::ONE }]), "1 beside a diagonal");
    }
}

/// Everything closes in a proof of the honest weights, whose folds are opened; but they are none of the file's commitments.
#[test]
fn folds_of_other_commitments_are_rejected() {
    let publisher = &*PUBLISHER;
    let (layer, column, row) = publisher.cells(true)[0];
    let key = publisher.committing(&[Forged { layer, column, row, value: bound(publisher) }]);
    let proof = publisher.proof_of(&key, &publisher.weights, &[], &publisher.honest, 7);
    let verdict = check(&key.with_proof(Some(proof)).unwrap(), true);
    assert!(matches!(verdict, Err(KeyError::Range { error: LayerError::Weights, .. })), "{verdict:?}");
}

/// The proof of one set of weights for the commitments of another, of another setup, and of another draw.
#[test]
fn proofs_of_other_weights_are_rejected() {
    let publisher = &*PUBLISHER;
    let (layer, column, row) = publisher.cells(true)[0];
    let mut other = publisher.weights.clone();
    other[layer].columns[column][row] ^= 1;
    let key = publisher.honest.clone();
    let proof = publisher.proof(&key, &other, &[], 3);
    is_range(check(&key.with_proof(Some(proof)).unwrap(), true), "other weights");
    // Commitments in another order, with the projections of the file as it was.
    let mut key = publisher.honest.clone();
    key.layers[layer].weights.swap(0, 1);
    assert!(check(&key.clone().with_proof(publisher.honest.proof.clone()).unwrap(), true).is_err());
    is_range(
        check(&key.clone().with_proof(Some(publisher.proof(&key, &publisher.weights, &[], 4))).unwrap(), true),
        "swapped columns",
    );
    // Nothing that the projections do not depend on: another name of a layer, which the proofs' bits follow.
    let mut key = publisher.honest.clone();
    key.layers[layer].name.push('!');
    assert!(check(&key.with_proof(publisher.honest.proof.clone()).unwrap(), true).is_err(), "bits of another file");
}

#[test]
fn changed_proofs_are_rejected() {
    let publisher = &*PUBLISHER;
    let proof = publisher.honest.proof.clone().unwrap();
    let mut tried = 0;
    let mut rejects = |what: &str, change: &dyn Fn(&mut KeyProof)| {
        assert!(publisher.forge(change).is_err(), "{what} was ACCEPTED");
        tried += 1;
    };
    assert_eq!(proof.ranges.len(), 1);
    let len = proof.ranges[0].len();
    for at in (0..len).step_by(STEP) {
        rejects("a flipped bit", &|p| p.ranges[0][at] ^= 1);
    }
    for keep in [0, 1, len / 2, len - 1] {
        rejects("a truncated proof", &|p| p.ranges[0].truncate(keep));
    }
    rejects("a byte more", &|p| p.ranges[0].push(0));
    rejects("a proof missing", &|p| drop(p.ranges.pop()));
    rejects("a proof twice", &|p| p.ranges.push(proof.ranges[0].clone()));
    for limbs in [0, publisher.limbs - 1, publisher.limbs + 1, u32::MAX] {
        rejects("another number of limbs", &|p| p.limbs = Limbs::Projected(limbs));
    }
    rejects("exact ranges", &|p| p.limbs = Limbs::Exact(publisher.widths.clone()));
    println!("changed proofs: {tried} tried, {tried} rejected");
}

/// Each proof masks projections and folds afresh.
#[test]
fn projections_are_masked() {
    let publisher = &*PUBLISHER;
    let [first, second] =
        [5, 6].map(|seed| publisher.proof(&publisher.honest, &publisher.weights, &[], seed).ranges.remove(0));
    let cells = PROJECTIONS * PROJECTIONS * publisher.limbs as usize;
    let lanes = cells.div_ceil(publisher.honest.shapes[0].plan.geometry.rows());
    // One fold of all columns at least follows the lanes.
    let points =
        |proof: &[u8]| -> Vec<Vec<u8>> { proof.chunks(POINT_BYTES).take(lanes + 1).map(<[u8]>::to_vec).collect() };
    let all = [points(&first), points(&second)].concat();
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
}

/// Setup takes projections where they cost less, and exact ranges where it is told to.
#[test]
fn setup_takes_what_costs_less() {
    let fixture = Fixture::new("llama-d64-l2");
    assert!(!check(&fixture.key, true).unwrap().exact);
    let keys = keys::read(&KeyDir::new(fixture.dir.path().join("keys"))).unwrap();
    let bases = keys::bases(&keys.srs, keys.plans()).unwrap();
    let bare = fixture.key.with_proof(None).unwrap();
    let (same, how) = keys::proven(&keys.artifact, bare, &bases, &keys.weight_seed, false).unwrap();
    assert_eq!(how, RangeProof::Projected);
    assert_eq!(same.model_id(), keys.verifier.model_id(), "a seed gives one model id");
}

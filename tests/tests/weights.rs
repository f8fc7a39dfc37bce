//! Cheating publishers: verifier files whose weights are out of range or stand where 0 must be, whose tables are not the
//! stated integers, or whose keys are not those of the plans. Each forged file carries the best proof that the honest prover makes for it.

use ff::Field;
use group::Group;
use nanozk_ir::int::{Curve, Known, Table};
use nanozk_proof::field::{Fr, G1};
use nanozk_proof::key_proof::chunks::{Chunk, chunks, limb_bits, limbs_for};
use nanozk_proof::key_proof::tables::tables;
use nanozk_proof::key_proof::{KeyError, KeyVerdict, check, prove};
use nanozk_proof::keys::{KeyProof, Limbs, VerifierKey};
use nanozk_proof::misfit::RangesMisfit;
use nanozk_proof::prover::table_column;
use nanozk_proof::verify::{VerifyError, VerifyOptions, verify};
use nanozk_proof::weights::WeightColumns;
use nanozk_proof::wire::POINT_BYTES;
use nanozk_runtime::keys::{self, Bases, ProverKeys};
use nanozk_testkit::model_dir;
use nanozk_tests::fixture::Fixture;
use nanozk_tests::publisher::{Holdings, beside_diagonals};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Bytes between two flipped ones.
const STEP: usize = 89;

/// A publisher with everything needed to make a verifier file.
struct Publisher {
    fixture: Fixture,
    keys: ProverKeys,
    bases: Bases,
    weights: Vec<WeightColumns>,
    limbs: Vec<Vec<u32>>,
}

static PUBLISHER: LazyLock<Publisher> = LazyLock::new(|| Publisher::new("block-d16-t16"));

impl Publisher {
    fn new(model: &str) -> Self {
        let Holdings { fixture, keys, bases, weights, widths: limbs } = Holdings::new(model);
        Publisher { fixture, keys, bases, weights, limbs }
    }

    fn honest(&self) -> &VerifierKey {
        &self.fixture.key
    }

    fn chunks(&self) -> Vec<Chunk> {
        chunks(self.honest(), &self.limbs).unwrap()
    }

    /// The verdict over a file with other weights, committed and proven as if they were good.
    fn publish(&self, change: impl FnOnce(&mut Vec<WeightColumns>)) -> Result<KeyVerdict, KeyError> {
        let mut weights = self.weights.clone();
        change(&mut weights);
        let mut key = self.honest().clone();
        for (layer, columns) in key.layers.iter_mut().zip(&weights) {
            let plan = &self.keys.artifact.shapes[layer.shape as usize].plan;
            layer.weights = columns.commit(&plan.geometry, keys::base(&self.bases, plan));
        }
        self.prove(key, &weights)
    }

    /// The verdict over a file with a proof of `weights`, after a round trip.
    fn prove(&self, key: VerifierKey, weights: &[WeightColumns]) -> Result<KeyVerdict, KeyError> {
        self.prove_with(key, weights, &self.tables())
    }

    fn prove_with(
        &self,
        key: VerifierKey,
        weights: &[WeightColumns],
        tables: &[Vec<Table>],
    ) -> Result<KeyVerdict, KeyError> {
        let tables: Vec<&[Table]> = tables.iter().map(Vec::as_slice).collect();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let columns = |layer: usize| weights.get(layer).cloned();
        let proof = prove(&key, &self.bases, &columns, &tables, Limbs::Exact(self.limbs.clone()), &mut rng).unwrap();
        let key = key.with_proof(Some(proof)).unwrap();
        check(&VerifierKey::from_bytes(&key.to_bytes().unwrap()).unwrap(), true)
    }

    /// The pair tables by layer.
    fn tables(&self) -> Vec<Vec<Table>> {
        self.keys.artifact.model.layers.iter().map(|l| l.tables.clone()).collect()
    }

    /// The verdict over a file that states a table and commits to its column, changed.
    fn publish_table(
        &self,
        (layer, index): (usize, usize),
        table: Table,
        change: impl FnOnce(&mut Vec<Fr>),
    ) -> Result<KeyVerdict, KeyError> {
        let mut key = self.honest().clone();
        let plan = &self.keys.artifact.shapes[key.layers[layer].shape as usize].plan;
        let mut column = table_column(&plan.geometry, &table);
        column.resize(1 << plan.geometry.k, Fr::ZERO);
        change(&mut column);
        key.layers[layer].tables[index] = keys::base(&self.bases, plan).commit(&column);
        let mut tables = self.tables();
        tables[layer][index] = table;
        self.prove_with(key, &self.weights, &tables)
    }

    /// The verdict over the honest file with its proof changed.
    fn forge(&self, change: impl FnOnce(&mut KeyProof)) -> Result<KeyVerdict, KeyError> {
        let honest = self.honest();
        let mut proof = honest.proof.clone().unwrap();
        change(&mut proof);
        assert_ne!(Some(&proof), honest.proof.as_ref(), "nothing changed");
        let key = honest.clone().with_proof(Some(proof)).unwrap();
        assert_ne!(key.model_id(), honest.model_id(), "the proof is part of the model id");
        check(&key, true)
    }
}

/// The masks of open weights are drawn from the model, so that no other one's commitments tell anything of them.
#[test]
fn open_weights_have_masks_of_their_own() {
    let artifact = PUBLISHER.fixture.artifact.clone();
    let mut other = artifact.clone();
    other.model.layers.iter_mut().find_map(|l| l.weights.first_mut()).unwrap()[0] ^= 1;
    let [seed, another] = [artifact, other].map(|artifact| Fixture::open(artifact).prover().weight_seed);
    assert_ne!(seed, another);
}

/// Each proof about the same weights masks their limbs afresh: no two commitments to lanes are equal.
#[test]
fn limbs_of_weights_are_masked() {
    let publisher = &*PUBLISHER;
    let tables = publisher.tables();
    let tables: Vec<&[Table]> = tables.iter().map(Vec::as_slice).collect();
    let [first, second] = [1, 2].map(|seed| {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let limbs = Limbs::Exact(publisher.limbs.clone());
        let columns = |layer: usize| publisher.weights.get(layer).cloned();
        prove(publisher.honest(), &publisher.bases, &columns, &tables, limbs, &mut rng).unwrap().ranges
    });
    let chunks = publisher.chunks();
    let lanes = |proofs: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let of = |(chunk, proof): (&Chunk, &Vec<u8>)| proof[..chunk.identity.plan.lookups.len() * POINT_BYTES].to_vec();
        chunks
            .iter()
            .zip(proofs)
            .map(of)
            .flat_map(|points| points.chunks(POINT_BYTES).map(<[u8]>::to_vec).collect::<Vec<_>>())
            .collect()
    };
    let all = [lanes(&first), lanes(&second)].concat();
    assert!(!all.is_empty());
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
}

#[test]
fn an_honest_file_is_accepted() {
    let publisher = &*PUBLISHER;
    let verdict = check(publisher.honest(), true).unwrap();
    let layers = &publisher.keys.artifact.model.layers;
    assert_eq!(verdict.weights, layers.iter().flat_map(|l| l.weights.sizes()).sum::<u64>());
    assert!(verdict.budget.statistical_bits > 123.0, "{:?}", verdict.budget);
    assert_eq!(verdict.tables, layers.iter().map(|l| l.tables.len()).sum::<usize>());
    for (table, values) in tables(publisher.honest()).iter().zip(&publisher.honest().proof.as_ref().unwrap().tables) {
        assert_eq!(values, &layers[table.layer].tables[table.index]);
        assert!(values.curve().is_some(), "tables of the compiler have a name");
        assert!(
            values.iter().all(|v| (-1..1).contains(&(v >> (verdict.table_bits - 1)))),
            "{} bits",
            verdict.table_bits
        );
    }
    assert_eq!(check(publisher.honest(), false).map(drop), Ok(()), "the SRS of the program is that of a ceremony");
    let bare = publisher.honest().clone().with_proof(None).unwrap();
    assert_eq!(check(&bare, true), Err(KeyError::Missing));
    assert_ne!(bare.model_id(), publisher.honest().model_id());
    assert!(verdict.exact, "weights are few, so that their ranges take less than projections");
}

#[test]
fn weights_up_to_the_ends_of_their_range_pass_and_beyond_fail() {
    let publisher = &*PUBLISHER;
    let mut tried = 0;
    for (c, chunk) in publisher.chunks().iter().enumerate() {
        let bits = chunk.identity.plan.geometry.limb_bits;
        let of_limbs = |m: u32| {
            let mut runs = chunk.columns.iter().flat_map(|c| c.runs.iter().map(move |r| (c, r)));
            runs.rfind(|(_, r)| r.limbs == m)
        };
        for m in 1..=32 / bits {
            let Some((column, run)) = of_limbs(m) else { continue };
            let row = (run.row + run.step * (run.count - 1)) as usize;
            let put =
                |v: i64| publisher.publish(|w| w[column.layer].columns[column.index][row] = i32::try_from(v).unwrap());
            let half = 1i64 << (m * bits - 1);
            assert!(put(half - 1).is_ok() && put(-half).is_ok(), "chunk {c}: ends of {m} limbs");
            for wrong in [half, -half - 1] {
                assert!(matches!(put(wrong), Err(KeyError::Range { .. })), "chunk {c}: {wrong} in {m} limbs");
                tried += 1;
            }
        }
    }
    println!("weights out of range: {tried} tried, {tried} rejected");
    assert!(tried > 0);
}

#[test]
fn a_weight_where_none_is_placed_is_rejected() {
    let publisher = &*PUBLISHER;
    let mut kinds = HashSet::new();
    for column in publisher.chunks().iter().flat_map(|c| &c.columns) {
        let rows = publisher.weights[column.layer].columns[column.index].len() as u32;
        let placed: HashSet<u32> = column.runs.iter().flat_map(|r| (0..r.count).map(|i| r.row + i * r.step)).collect();
        let plan = &publisher.honest().shapes[publisher.honest().layers[column.layer].shape as usize].plan;
        // Beside keys and values no matrix has the row; elsewhere the column is a spare one of its matrix.
        let matrix = |row: u32| {
            let end = |t: &nanozk_plan::WeightTile| t.row + t.inputs * t.outputs.div_ceil(plan.weight_columns);
            plan.tiles.iter().position(|t| (t.row..end(t)).contains(&row))
        };
        for row in (0..rows).filter(|r| !placed.contains(r)) {
            if kinds.insert((column.layer, matrix(row))) {
                let verdict = publisher.publish(|w| w[column.layer].columns[column.index][row as usize] = 1);
                assert!(matches!(verdict, Err(KeyError::Range { .. })), "row {row}: {verdict:?}");
            }
        }
    }
    println!("weights where 0 must be: {} tried, {0} rejected", kinds.len());
    assert!(kinds.iter().any(|k| k.1.is_none()), "a row beside keys or values");
    assert!(kinds.iter().any(|k| k.1.is_some()), "a spare column");
}

/// There it would add one output's factor to another output.
#[test]
fn a_weight_beside_a_diagonal_is_rejected() {
    let publisher = Publisher::new("bert-d64-l2");
    for (layer, column, row) in beside_diagonals(publisher.honest()) {
        let verdict = publisher.publish(|w| w[layer].columns[column][row] = 1);
        assert!(matches!(verdict, Err(KeyError::Range { .. })), "column {column}, row {row}: {verdict:?}");
    }
}

/// A number of limbs for each matrix.
#[test]
fn ranges_of_other_matrices_are_rejected() {
    let publisher = &*PUBLISHER;
    let rejects = |change: &dyn Fn(&mut Vec<Vec<u32>>)| {
        let mut limbs = publisher.limbs.clone();
        change(&mut limbs);
        let verdict = publisher.forge(|proof| proof.limbs = Limbs::Exact(limbs));
        assert_eq!(verdict, Err(KeyError::Mismatch(RangesMisfit::Matrices)));
    };
    let layer = publisher.limbs.iter().position(|limbs| !limbs.is_empty()).unwrap();
    rejects(&|limbs| limbs[layer].push(1));
    rejects(&|limbs| limbs[layer].clear());
    rejects(&|limbs| limbs.clear());
}

#[test]
fn field_elements_and_other_weights_are_rejected() {
    let publisher = &*PUBLISHER;
    let is_range = |v: Result<KeyVerdict, KeyError>| assert!(matches!(v, Err(KeyError::Range { .. })), "{v:?}");
    let great = Fr::from(u64::MAX) * Fr::from(u64::MAX);
    for (layer, columns) in publisher.weights.iter().enumerate().filter(|(_, w)| !w.columns.is_empty()) {
        let plan = &publisher.honest().shapes[publisher.honest().layers[layer].shape as usize].plan;
        let row = G1::from(keys::base(&publisher.bases, plan).lagrange()[0]);
        let mut key = publisher.honest().clone();
        key.layers[layer].weights[0] += row * great;
        is_range(publisher.prove(key, &publisher.weights));

        // The proof of one set of weights for the commitments of another.
        let mut other = publisher.weights.clone();
        other[layer].columns[0][0] = columns.columns[0][0] ^ 1;
        is_range(publisher.prove(publisher.honest().clone(), &other));
        if columns.columns.len() > 1 {
            let mut key = publisher.honest().clone();
            key.layers[layer].weights.swap(0, 1);
            is_range(publisher.prove(key, &publisher.weights));
        }
    }
    // The proof of another setup of the same model.
    let other = Fixture::of(publisher.fixture.artifact.clone());
    let moved = publisher.honest().clone().with_proof(other.key.proof.clone()).unwrap();
    assert!(check(&moved, true).is_err());
}

/// A table is a function of its key, with small integers as values: no other element of the field, and no second value
/// for the key 0 on the rows after the table.
#[test]
fn tables_other_than_the_stated_integers_are_rejected() {
    let publisher = &*PUBLISHER;
    let honest = publisher.tables();
    let mut tried = 0;
    for (layer, tables) in honest.iter().enumerate() {
        let geometry = publisher.honest().shapes[publisher.honest().layers[layer].shape as usize].plan.geometry;
        let size = 1usize << geometry.limb_bits;
        let outside = [size, geometry.rows() - 1, geometry.rows(), geometry.mask_rows().start, (1 << geometry.k) - 1];
        assert!(size < geometry.rows(), "rows after the table");
        for (index, values) in tables.iter().enumerate() {
            let at = (layer, index);
            let put = |change: &dyn Fn(&mut Vec<Fr>)| publisher.publish_table(at, values.clone(), change);
            assert!(put(&|_| ()).is_ok());
            let half = Fr::from(2).invert().unwrap();
            let elements = [-Fr::ONE, half, Fr::from(u64::MAX) * Fr::from(u64::MAX)].map(|wrong| (size / 2, wrong));
            let rows = [0, size - 1].into_iter().chain(outside).map(|row| (row, Fr::ONE));
            for (row, wrong) in rows.chain(elements) {
                let verdict = put(&|column| column[row] += wrong);
                assert!(matches!(verdict, Err(KeyError::Known(_))), "row {row} + {wrong:?}: {verdict:?}");
                tried += 1;
            }
            let state = |row: usize, value: i64| {
                let mut values = values.to_vec();
                values[row] = value;
                publisher.publish_table(at, values.into(), |_| ())
            };
            let limit = 1i64 << 62;
            for (row, good) in [(0, limit - 1), (size - 1, 1 - limit)] {
                // Weights by distance end in 0.
                match state(row, good) {
                    Err(KeyError::Statement(_)) => assert!(row > 0 && values[row] == 0),
                    verdict => assert_eq!(verdict.map(|v| v.table_bits), Ok(63)),
                }
                for wrong in [limit, -limit, i64::MIN] {
                    assert_eq!(state(row, wrong), Err(KeyError::Table { layer, table: index }), "{wrong} in row {row}");
                    tried += 1;
                }
            }
            let mut poisoned = publisher.honest().clone();
            poisoned.layers[layer].tables[index] += G1::generator();
            assert!(matches!(publisher.prove(poisoned, &publisher.weights), Err(KeyError::Known(_))));
            tried += 1;
        }
        if tables.len() > 1 {
            let mut key = publisher.honest().clone();
            key.layers[layer].tables.swap(0, 1);
            assert!(matches!(publisher.prove(key.clone(), &publisher.weights), Err(KeyError::Known(_))));
            key.layers[layer].tables[0] = key.layers[layer].tables[1];
            assert_eq!(publisher.prove(key, &publisher.weights).map(|v| v.tables), Ok(tables.len() - 1), "stated once");
            tried += 1;
        }
    }
    println!("tables: {tried} tried, {tried} rejected");
    assert!(tried > 0);
}

/// The stated ranges of a proof that has those of every matrix.
fn exact(proof: &mut KeyProof) -> &mut Vec<Vec<u32>> {
    match &mut proof.limbs {
        Limbs::Exact(limbs) => limbs,
        Limbs::Projected(_) => panic!("no exact ranges"),
    }
}

#[test]
fn changed_proofs_are_rejected() {
    let publisher = &*PUBLISHER;
    let proof = publisher.honest().proof.clone().unwrap();
    let mut tried = 0;
    let mut rejects = |what: &str, change: &dyn Fn(&mut KeyProof)| {
        assert!(publisher.forge(change).is_err(), "{what} was ACCEPTED");
        tried += 1;
    };
    for i in 0..proof.ranges.len() {
        let len = proof.ranges[i].len();
        for at in (0..len).step_by(STEP) {
            rejects("a flipped bit", &|p| p.ranges[i][at] ^= 1);
        }
        for keep in [0, 1, len / 2, len - 1] {
            rejects("a truncated proof", &|p| p.ranges[i].truncate(keep));
        }
        rejects("a byte more", &|p| p.ranges[i].push(0));
        rejects("a proof missing", &|p| drop(p.ranges.remove(i)));
        rejects("a proof twice", &|p| p.ranges.insert(i, proof.ranges[i].clone()));
    }
    for (layer, limbs) in publisher.limbs.iter().enumerate() {
        for tile in 0..limbs.len() {
            rejects("a wider range", &|p| exact(p)[layer][tile] += 1);
            rejects("a narrower range", &|p| exact(p)[layer][tile] -= 1);
            rejects("the widest range", &|p| exact(p)[layer][tile] = u32::MAX);
        }
        rejects("a range more", &|p| exact(p)[layer].push(1));
    }
    rejects("a layer more", &|p| exact(p).push(Vec::new()));
    (1..6).for_each(|limbs| rejects("projections", &|p| p.limbs = Limbs::Projected(limbs)));
    for i in 0..proof.tables.len() {
        let curve = proof.tables[i].curve().unwrap();
        let bits = publisher.honest().shapes[0].plan.geometry.limb_bits;
        let curves = [
            Curve { origin: curve.origin + 1, ..curve.clone() },
            Curve { unit: curve.unit * 1.5, ..curve.clone() },
            Curve { scale: curve.scale + 1.0, ..curve.clone() },
            Curve { limit: curve.limit / 2, ..curve.clone() },
            Curve { last: Some(curve.last.map_or(0, |last| last + 1)), ..curve.clone() },
        ];
        for other in curves {
            rejects("another curve", &|p| p.tables[i] = Table::of(bits, other.clone()));
        }
        rejects("a curve of another size", &|p| p.tables[i] = Table::of(bits + 1, curve.clone()));
        rejects("a table without its name", &|p| p.tables[i] = proof.tables[i].to_vec().into());
        rejects("another value", &|p| {
            let mut values = proof.tables[i].to_vec();
            values[1 << bits >> 1] += 1;
            p.tables[i] = values.into();
        });
        rejects("a value missing", &|p| p.tables[i] = proof.tables[i][1..].to_vec().into());
        rejects("a value more", &|p| p.tables[i] = [&proof.tables[i][..], &[0]].concat().into());
        rejects("no values", &|p| p.tables[i] = Vec::new().into());
        rejects("a table missing", &|p| drop(p.tables.remove(i)));
        rejects("a table twice", &|p| p.tables.insert(i, proof.tables[i].clone()));
    }
    for i in 0..proof.openings.len() {
        rejects("another opening", &|p| p.openings[i] += G1::generator());
        rejects("no opening", &|p| p.openings[i] = G1::identity());
        rejects("opening missing", &|p| p.openings.truncate(i));
    }
    println!("changed proofs: {tried} tried, {tried} rejected");
}

/// Commitments of mask rows that are not theirs would let a publisher prove anything.
#[test]
fn poisoned_keys_are_rejected() {
    let publisher = &*PUBLISHER;
    let honest = publisher.honest();
    let mut tried = 0;
    let mut rejects = |what: &str, change: &dyn Fn(&mut VerifierKey)| {
        let mut key = honest.clone();
        change(&mut key);
        let verdict = publisher.prove(key, &publisher.weights);
        assert!(matches!(verdict, Err(KeyError::Known(_))), "{what}: {verdict:?}");
        tried += 1;
    };
    for (i, shape) in honest.shapes.iter().enumerate() {
        let k = shape.plan.geometry.k;
        let data = G1::from(publisher.bases[&k].lagrange()[0]);
        for row in 0..shape.span_basis.len() {
            rejects("a data row in the span", &|key| key.shapes[i].span_basis[row] += data);
        }
    }
    println!("poisoned keys: {tried} tried, {tried} rejected");
    assert!(tried > 0);
}

/// Without the publisher's proof nothing is known of the weights: proofs verify, and who asks for checked weights is told.
#[test]
fn a_verifier_who_wants_checked_weights_gets_them() {
    let fixture = &PUBLISHER.fixture;
    let bundle = fixture.prove(&model_dir("block-d16-t16").join("input.json"));
    let options = |check_weights| VerifyOptions { check_weights, allow_unsafe_srs: true, ..Default::default() };
    let verdict = verify(&fixture.key, &bundle, &options(true)).unwrap();
    assert!(verdict.basis.weights_checked);
    let bare = fixture.key.clone().with_proof(None).unwrap();
    let mut claimed = bundle;
    claimed.model_id = bare.model_id();
    let error = verify(&bare, &claimed, &options(true)).unwrap_err();
    assert!(matches!(error, VerifyError::Key(KeyError::Missing)), "the weights are not checked: {error}");
}

#[test]
fn ranges_are_the_narrowest() {
    for (weights, bits, expected) in [
        (vec![], 12, 1),
        (vec![0], 12, 1),
        (vec![2047, -2048], 12, 1),
        (vec![2048], 12, 2),
        (vec![-2049], 12, 2),
        (vec![(1 << 23) - 1], 12, 2),
        (vec![1 << 23], 12, 3),
        (vec![i32::MIN, i32::MAX], 16, 2),
        (vec![i32::MIN], 13, 3),
    ] {
        assert_eq!(limbs_for(bits, &weights), expected, "{weights:?} in {bits}-bit limbs");
    }
    assert_eq!(limb_bits(13), 12);
}

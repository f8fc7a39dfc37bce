use ff::Field;
use halo2_proofs::circuit::{Layouter, SimpleFloorPlanner, Value};
use halo2_proofs::plonk::{
    Advice, Circuit, Column, ConstraintSystem, Constraints, Error as PlonkError, Expression, Fixed, Instance, Selector,
    VerifyingKey, create_proof, keygen_pk, keygen_vk_with_k, prepare,
};
use halo2_proofs::poly::{CommitmentLabel, EvaluationDomain, Rotation};
use halo2_proofs::transcript::CircuitTranscript;
use halo2_proofs::utils::{SerdeFormat, arithmetic::eval_polynomial};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::field::int;

const K: u32 = 6;
const FORMAT: SerdeFormat = SerdeFormat::Processed;

fn setup() -> (Srs, ProverParams, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let srs = Srs::generate_unsafe(K, &mut rng).unwrap();
    let bases = ProverBases::new(&srs, K).unwrap();
    (srs, ProverParams::new(Arc::new(bases)), rng)
}

fn random_ints(rng: &mut ChaCha20Rng, n: usize) -> Vec<i64> {
    (0..n).map(|_| rng.gen_range(-200..200)).collect()
}

#[test]
fn commitments_equal_the_stock_ones() {
    let (srs, params, mut rng) = setup();
    let stock = srs.halo2_params(K).unwrap();
    let domain = EvaluationDomain::<Fr>::new(1, K);
    let n = 1 << K;
    let dense: Vec<Fr> = (0..n).map(|_| Fr::random(&mut rng)).collect();
    let ints = random_ints(&mut rng, n);
    let small: Vec<Fr> = ints.iter().map(|v| int(*v)).collect();
    let mut blinded = small.clone();
    blinded[0] = dense[0];
    blinded[n - 5..].copy_from_slice(&dense[n - 5..]);
    let mut mixed = dense.clone();
    mixed[..n / 2 - 3].copy_from_slice(&small[..n / 2 - 3]);
    let mut sparse = vec![Fr::ZERO; n];
    sparse[3] = dense[3];
    let zero = vec![Fr::ZERO; n];
    for column in [dense, small, blinded, mixed, sparse, zero] {
        let lagrange = domain.lagrange_from_vec(column.clone());
        let expected = Stock::commit_lagrange(&stock, &lagrange);
        assert_eq!(ProverKzg::commit_lagrange(&params, &lagrange), expected);
        assert_eq!(params.bases().commit(&column), expected);
        let coefficients = domain.coeff_from_vec(column);
        assert_eq!(ProverKzg::commit(&params, &coefficients), Stock::commit(&stock, &coefficients));
    }
    let short = &ints[..40];
    let column: Vec<Fr> = short.iter().map(|v| int(*v)).collect();
    assert_eq!(params.bases().commit_small(short), params.bases().commit(&column));
}

#[test]
fn downsizing_keeps_the_secret() {
    let (srs, mut params, mut rng) = setup();
    params.downsize(4);
    assert_eq!(params.max_k(), 4);
    let column: Vec<Fr> = (0..16).map(|_| Fr::random(&mut rng)).collect();
    let expected = ProverBases::new(&srs, 4).unwrap().commit(&column);
    assert_eq!(params.bases().commit(&column), expected);
}

/// Queries that coincide in every way that a batched opening could confuse: columns of equal content at one point, point
/// sets in another order, a set within another.
#[test]
fn multi_openings_keep_their_queries_apart() {
    let (srs, params, mut rng) = setup();
    let domain = EvaluationDomain::<Fr>::new(1, K);
    let mut random = || domain.coeff_from_vec((0..1 << K).map(|_| Fr::random(&mut rng)).collect());
    let (p, q, r, u) = (random(), random(), random(), random());
    let columns = [p.clone(), p, q, r, u];
    let commitments: Vec<G1> = columns.iter().map(|c| ProverKzg::commit(&params, c)).collect();
    assert_eq!(commitments[0], commitments[1], "two columns, one content");
    let (x, y) = (Fr::from(5), Fr::from(7));
    let layout = [(0, x), (1, x), (2, x), (2, y), (3, y), (3, x), (4, y)];
    let open = |layout: &[(usize, Fr)]| {
        let mut transcript = CircuitTranscript::<blake2b_simd::State>::init();
        let queries: Vec<_> = layout.iter().map(|(c, point)| ProverQuery::new(*point, &columns[*c])).collect();
        ProverKzg::multi_open(&params, &queries, &mut transcript).map(|()| transcript.finalize())
    };
    let proof = open(&layout).unwrap();
    let holds = |claims: &[(usize, Fr, Fr)]| {
        let mut transcript = CircuitTranscript::<blake2b_simd::State>::init_from_bytes(&proof);
        let query = |(c, point, value): &(usize, Fr, Fr)| {
            VerifierQuery::new(*point, CommitmentLabel::NoLabel, &commitments[*c], *value)
        };
        let queries: Vec<VerifierQuery<Fr, Stock>> = claims.iter().map(query).collect();
        Stock::multi_prepare(&queries, &mut transcript).is_ok_and(|g| g.verify(&srs.verifier_params()).is_ok())
    };
    let honest = layout.map(|(c, point)| (c, point, eval_polynomial(&columns[c], point)));
    assert!(holds(&honest));
    for i in 0..honest.len() {
        let mut claims = honest;
        claims[i].2 += Fr::ONE;
        assert!(!holds(&claims), "value {i}");
        for j in (0..honest.len()).filter(|j| *j != i) {
            let mut both = claims;
            both[j].2 -= Fr::ONE;
            assert!(!holds(&both), "values {i} and {j}, with the sum kept");
            let mut swapped = honest;
            (swapped[i].2, swapped[j].2) = (honest[j].2, honest[i].2);
            assert!(swapped == honest || !holds(&swapped), "values {i} and {j} swapped");
        }
        let without: Vec<_> = honest.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, c)| *c).collect();
        assert!(!holds(&without), "query {i} missing");
        for value in [honest[i].2, honest[i].2 + Fr::ONE] {
            let repeated = [&honest[..], &[(honest[i].0, honest[i].1, value)]].concat();
            assert!(!holds(&repeated), "query {i} repeated");
        }
        assert!(open(&[&layout[..], &[layout[i]]].concat()).is_err(), "query {i} repeated by the prover");
    }
}

/// Rows of `a * b = c` with `a` looked up in a table of bytes and the first product public.
#[derive(Clone)]
struct Products(Vec<(i64, i64)>);

#[derive(Clone)]
struct Config {
    advice: [Column<Advice>; 3],
    table: Column<Fixed>,
    selector: Selector,
    instance: Column<Instance>,
}

impl Circuit<Fr> for Products {
    type Config = Config;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> Config {
        let advice = [meta.advice_column(), meta.advice_column(), meta.advice_column()];
        let (table, selector, instance) = (meta.fixed_column(), meta.complex_selector(), meta.instance_column());
        meta.enable_equality(advice[2]);
        meta.enable_equality(instance);
        meta.create_gate("product", |meta| {
            let [a, b, c] = advice.map(|column| meta.query_advice(column, Rotation::cur()));
            Constraints::with_selector(selector, vec![a * b - c])
        });
        meta.lookup_any("byte", |meta| {
            let a = meta.query_selector(selector) * meta.query_advice(advice[0], Rotation::cur());
            let byte: Expression<Fr> = meta.query_fixed(table, Rotation::cur());
            vec![(a, byte)]
        });
        Config { advice, table, selector, instance }
    }

    fn synthesize(&self, config: Config, mut layouter: impl Layouter<Fr>) -> Result<(), PlonkError> {
        let first = layouter.assign_region(
            || "products",
            |mut region| {
                for row in 0..32 {
                    region.assign_fixed(|| "", config.table, row, || Value::known(int(row as i64)))?;
                }
                let mut first = None;
                for (row, (a, b)) in self.0.iter().enumerate() {
                    config.selector.enable(&mut region, row)?;
                    region.assign_advice(|| "", config.advice[0], row, || Value::known(int(*a)))?;
                    region.assign_advice(|| "", config.advice[1], row, || Value::known(int(*b)))?;
                    let c = region.assign_advice(|| "", config.advice[2], row, || Value::known(int(a * b)))?;
                    first.get_or_insert(c);
                }
                Ok(first)
            },
        )?;
        first.map_or(Ok(()), |cell| layouter.constrain_instance(cell.cell(), config.instance, 0))
    }
}

#[test]
fn proofs_verify_under_the_stock_scheme_with_the_same_key() {
    let (srs, params, mut rng) = setup();
    let stock = srs.halo2_params(K).unwrap();
    let circuit = Products((0..20).map(|i| (i + 3, -7 * i - 5)).collect());
    let public = [int(-15)];

    let vk = keygen_vk_with_k::<Fr, ProverKzg, _>(&params, &circuit, K).unwrap();
    let stock_vk = keygen_vk_with_k::<Fr, Stock, _>(&stock, &circuit, K).unwrap();
    assert_eq!(vk.to_bytes(FORMAT), stock_vk.to_bytes(FORMAT));
    assert_eq!(vk.transcript_repr(), stock_vk.transcript_repr());
    let stock_vk = VerifyingKey::<Fr, Stock>::from_bytes::<Products>(&vk.to_bytes(FORMAT), FORMAT, ()).unwrap();

    let pk = keygen_pk(vk, &circuit).unwrap();
    let mut transcript = CircuitTranscript::<blake2b_simd::State>::init();
    let instances: &[&[&[Fr]]] = &[&[&public]];
    create_proof(&params, &pk, &[circuit], 0, instances, &mut transcript, &mut rng).unwrap();
    let proof = transcript.finalize();

    let verify = |proof: &[u8], public: &[Fr]| {
        let mut transcript = CircuitTranscript::<blake2b_simd::State>::init_from_bytes(proof);
        let guard = prepare::<Fr, Stock, _>(&stock_vk, &[&[]], &[&[public]], &mut transcript).map_err(|_| ())?;
        guard.verify(&srs.verifier_params()).map_err(|_| ())
    };
    assert!(verify(&proof, &public).is_ok());
    assert!(verify(&proof, &[int(-16)]).is_err());
    let mut damaged = proof.clone();
    let last = damaged.len() - 60;
    damaged[last] ^= 1;
    assert!(verify(&damaged, &public).is_err());
}

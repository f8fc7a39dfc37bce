//! A hand-made plan with every kind of constraint, and a layer of it.
#![allow(dead_code, reason = "each test uses a part")]

use nanozk_plan::*;
use nanozk_proof::{
    challenges::Challenges,
    error::{LayerError, ProveError},
    field::{Fr, G1},
    guard::LayerGuard,
    keygen::keygen,
    layer::LayerKey,
    msm,
    pcs::ProverBases,
    prover::{Chosen, LayerInput, LayerProver, ShapeProver, commit_lane, prove_layer_with, random_mask, table_column},
    publics::PublicData,
    srs::Srs,
    verifier::{LayerClaim, prepare_layer},
    weights::WeightColumns,
    witness::LaneColumn,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, RngCore, SeedableRng};
use std::borrow::Cow;
use std::sync::Arc;

pub const TOKENS: usize = 4;
const GROUPS: u32 = 12;

fn lane(name: &str, boundary: Option<Port>) -> Lane {
    Lane { name: name.into(), boundary }
}

fn term(coef: i64, slot: u32, stride: i32) -> Term {
    Term { coef, slot, stride }
}

fn form(lane: u32) -> RowForm {
    RowForm { terms: vec![(lane, 1)], constant: 0 }
}

/// x in range; sq = x * x; t = table[x]; sum = x0 + x1 + 3; y = x W; s = x x^T.
pub fn plan() -> Plan {
    let geometry = Geometry::new(6, 4, TOKENS as u32).unwrap();
    assert_eq!(geometry.groups, GROUPS);
    let slot = |lane: u32| lane * GROUPS;
    let one = slot(6);
    let rho = |start, step| Monomial { rho: (start, step), eta: (0, 0) };
    Plan {
        geometry,
        lanes: vec![
            lane("x", None),
            lane("y", None),
            lane("square", None),
            lane("sum", Some(Port::Output(0))),
            lane("scores", None),
            lane("table", None),
        ],
        boundaries: vec![Boundary { port: Port::Output(0), lanes: vec![3], features: 1 }],
        gates: vec![Gate { name: "square".into(), selector: None, a: form(0), b: form(0), c: form(2) }],
        lookups: vec![
            Lookup { a: 0, b: None, tag: Tag::Table(0), mask: None },
            Lookup { a: 0, b: Some(5), tag: Tag::Table(1), mask: None },
        ],
        tables: 1,
        params: 1,
        publics: vec![Public::One, Public::Param { first: 0, count: 1 }],
        relations: vec![Relation {
            count: 1,
            terms: vec![term(1, 0, 0), term(1, 1, 0), term(1, one + 1, 0), term(-1, slot(3), 0)],
        }],
        claims: vec![
            Claim { count: 3, monomial: rho(0, 1), terms: vec![term(1, slot(1), 1)] },
            Claim {
                count: TOKENS as u32,
                monomial: Monomial { rho: (10, 0), eta: (TOKENS as u32 - 1, -1) },
                terms: vec![term(1, slot(4), 1)],
            },
        ],
        operands: vec![
            Operand { row: 0, row_stride: 1, count: 2, monomial: rho(0, 0), terms: vec![term(1, 0, 1)] },
            Operand { row: 2, row_stride: 1, count: 2, monomial: rho(10, 0), terms: vec![term(1, 0, 1)] },
        ],
        tiles: vec![WeightTile { weight: 0, row: 0, inputs: 2, outputs: 3 }],
        weight_columns: 4,
        functionals: vec![Functional {
            kind: TokenWeight::Eta,
            entries: (0..2).map(|i| FunctionalEntry { slot: i, row: 2 + i, rho: 0 }).collect(),
        }],
        ..Plan::default()
    }
}

pub struct Fixture {
    pub srs: Srs,
    pub bases: Arc<ProverBases>,
    pub shape: ShapeProver,
    pub key: LayerKey,
    pub tables: Vec<Vec<i64>>,
    pub weights: WeightColumns,
}

pub const WEIGHTS: [i32; 6] = [1, -2, 3, 4, -5, 6];
pub const X: [[i64; 2]; TOKENS] = [[1, 2], [3, 15], [0, 7], [9, 4]];

pub fn fixture() -> Fixture {
    fixture_of(plan())
}

/// A layer of a plan that has the weights and tables of [`plan`].
pub fn fixture_of(plan: Plan) -> Fixture {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let srs = Srs::generate_unsafe(6, &mut rng).unwrap();
    let bases = Arc::new(ProverBases::new(&srs, 6).unwrap());
    let shape = keygen(&plan, &bases).unwrap();
    let tables = vec![(0..16).map(|v| v * v - 5).collect::<Vec<i64>>()];
    let masks = (0..4).map(|_| random_mask(&mut rng)).collect();
    let weights = WeightColumns::lay_out(&plan, &[WEIGHTS.to_vec()], masks).unwrap();
    let key = LayerKey {
        name: "tiny".into(),
        shape: 0,
        inputs: vec![],
        outputs: vec![0],
        params: vec![3],
        tables: vec![msm::dense(bases.lagrange(), &table_column(&plan.geometry, &tables[0]))],
        weights: weights.commit(&plan.geometry, &bases),
    };
    Fixture { srs, bases, shape, key, tables, weights }
}

pub fn lanes(f: &Fixture) -> Vec<LaneColumn> {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let rows = f.shape.key.plan.geometry.rows();
    let mut data = vec![vec![0i64; rows]; 6];
    for t in 0..TOKENS {
        for i in 0..2 {
            data[0][i * TOKENS + t] = X[t][i];
        }
        for j in 0..3 {
            data[1][j * TOKENS + t] = (0..2).map(|i| X[t][i] * WEIGHTS[i * 3 + j] as i64).sum();
        }
        data[3][t] = X[t][0] + X[t][1] + 3;
        for u in 0..TOKENS {
            data[4][u * TOKENS + t] = (0..2).map(|c| X[t][c] * X[u][c]).sum();
        }
    }
    data[2] = data[0].iter().map(|x| x * x).collect();
    data[5] = data[0].iter().map(|x| f.tables[0][*x as usize]).collect();
    data.into_iter().map(|data| LaneColumn { data, mask: random_mask(&mut rng) }).collect()
}

pub fn boundary(f: &Fixture, lanes: &[LaneColumn]) -> Vec<Option<G1>> {
    let g = &f.shape.key.plan.geometry;
    vec![None, None, None, Some(commit_lane(g, &f.bases, &lanes[3])), None, None]
}

pub fn prove(f: &Fixture, lanes: Vec<LaneColumn>, weights: &WeightColumns) -> (Vec<u8>, Vec<Option<G1>>) {
    prove_with(f, lanes, weights, |_, _| {})
}

pub fn prove_with(
    f: &Fixture,
    lanes: Vec<LaneColumn>,
    weights: &WeightColumns,
    choose: impl FnOnce(&Challenges, &mut Chosen),
) -> (Vec<u8>, Vec<Option<G1>>) {
    prove_drawing(f, lanes, weights, &mut ChaCha20Rng::seed_from_u64(3), choose)
}

pub fn prove_drawing(
    f: &Fixture,
    lanes: Vec<LaneColumn>,
    weights: &WeightColumns,
    rng: &mut (impl RngCore + CryptoRng),
    choose: impl FnOnce(&Challenges, &mut Chosen),
) -> (Vec<u8>, Vec<Option<G1>>) {
    let boundary = boundary(f, &lanes);
    (try_prove(f, lanes, weights, &boundary, rng, choose).unwrap(), boundary)
}

pub fn try_prove(
    f: &Fixture,
    lanes: Vec<LaneColumn>,
    weights: &WeightColumns,
    boundary: &[Option<G1>],
    rng: &mut (impl RngCore + CryptoRng),
    choose: impl FnOnce(&Challenges, &mut Chosen),
) -> Result<Vec<u8>, ProveError> {
    let layer =
        LayerProver { shape: &f.shape, key: &f.key, tables: &f.tables, weights: Cow::Borrowed(weights), index: 0 };
    let public = PublicData { params: &f.key.params, inputs: &[], outputs: &[None] };
    let input = LayerInput { lanes, boundary, public, prefix: Fr::from(7) };
    prove_layer_with(&f.bases, layer, input, rng, choose)
}

pub fn accepts(f: &Fixture, boundary: &[Option<G1>], proof: &[u8], prefix: u64, params: &[i64]) -> bool {
    prepared(f, &f.key, boundary, proof, prefix, params).is_ok_and(|g| g.check(f.srs.verifier_part()).is_ok())
}

pub fn prepared(
    f: &Fixture,
    key: &LayerKey,
    boundary: &[Option<G1>],
    proof: &[u8],
    prefix: u64,
    params: &[i64],
) -> Result<LayerGuard, LayerError> {
    let public = PublicData { params, inputs: &[], outputs: &[None] };
    let claim = LayerClaim { shape: &f.shape.key, key, index: 0, boundary, public, prefix: Fr::from(prefix) };
    prepare_layer(&claim, proof)
}

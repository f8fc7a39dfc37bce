//! Verifier files to start from, and what keeps a changed one consistent: counts that a reader compares are made to fit,
//! as whoever wants a file to be read would do.

use group::{Group, GroupEncoding};
use nanozk_ir::int::{self as ir, Graph, Node, Table, ops};
use nanozk_layout::{Choices, Squares};
use nanozk_plan::format::{self, Kind, VERSION};
use nanozk_plan::{Boundary, ElementType, Geometry, Lane, Plan, Port, Relation, Term, ValueInfo};
use nanozk_proof::bundle::{Bundle, CommittedTensor, LayerProof, PublicTensor};
use nanozk_proof::circuits::{Circuit, Circuits};
use nanozk_proof::field::G1;
use nanozk_proof::key_proof;
use nanozk_proof::keys::{
    Endpoint, KeyProof, Limbs, Rows, ShapeFile, TensorKey, VerifierFile, VerifierKey, Visibility,
};
use nanozk_proof::layer::{LayerKey, ShapeKey};
use nanozk_proof::span_proof::SPAN_ROWS;
use nanozk_proof::verify::{VerifyOptions, verify};
use std::path::Path;

/// Most points that are put into a list to make it fit: 48 kB.
const MOST_POINTS: usize = 1000;
/// Bytes of a scalar.
const SCALAR_BYTES: usize = 32;

/// A file kept in `golden`.
pub fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/v{VERSION}"));
    std::fs::read(folder.join(name)).unwrap()
}

/// The verifier file of a transformer block.
pub fn block() -> VerifierFile {
    format::decode(Kind::Verifier, &golden("verifier.nanozk")).unwrap()
}

/// The verifier file of one layer, y = x + z for hidden tensors of one feature, in circuits of this geometry.
pub fn sum(geometry: Geometry) -> VerifierFile {
    let ports = [Port::Input(0), Port::Input(1), Port::Output(0)];
    let term = |(lane, coef): (u32, i64)| Term { coef, slot: lane * geometry.groups, stride: 0 };
    let plan = Plan {
        geometry,
        lanes: ports.iter().map(|port| Lane { name: String::new(), boundary: Some(*port) }).collect(),
        boundaries: (0..).zip(ports).map(|(lane, port)| Boundary { port, lanes: vec![lane], features: 1 }).collect(),
        relations: vec![Relation { count: 1, terms: (0..).zip([1, 1, -1]).map(term).collect() }],
        ..Plan::default()
    };
    let value = ValueInfo::row_major("", vec![geometry.tokens as usize, 1], ElementType::Float32);
    let endpoint = |tensor| Endpoint { tensor, value: value.clone() };
    let tensor = |visibility| TensorKey {
        name: String::new(),
        features: 1,
        scale: 1.0,
        lo: -9,
        hi: 9,
        visibility,
        rows: Rows::Padded,
    };
    let node =
        |op, inputs: &[u32]| Node { name: String::new(), op, inputs: inputs.to_vec(), features: 1, lo: -18, hi: 18 };
    let operand = |input| ir::Term { input, feature: 0, coef: 1 };
    let nodes = vec![
        node(ops::Input { port: 0 }.into(), &[]),
        node(ops::Input { port: 1 }.into(), &[]),
        node(ops::Affine { rows: vec![vec![operand(0), operand(1)]] }.into(), &[0, 1]),
        node(ops::Output { port: 0 }.into(), &[2]),
    ];
    let choices = Choices { k: geometry.k, squares: Squares::Plain, weight_columns: 0 };
    let circuit = Circuit { graph: Graph { nodes, ..Graph::default() }, choices };
    let mut file = VerifierFile {
        circuits: Circuits::new(&[circuit]).unwrap(),
        tokens: geometry.tokens,
        tensors: [Visibility::PrivateInput, Visibility::PrivateInput, Visibility::PrivateOutput].map(tensor).to_vec(),
        inputs: vec![endpoint(0), endpoint(1)],
        outputs: vec![endpoint(2)],
        text: Default::default(),
        shapes: vec![ShapeFile { plan, span_basis: vec![G1::generator(); SPAN_ROWS] }],
        layers: vec![LayerKey {
            name: String::new(),
            shape: 0,
            inputs: vec![0, 1],
            outputs: vec![2],
            params: Vec::new(),
            tables: Vec::new(),
            weights: Vec::new(),
        }],
        srs: block().srs,
        proof: None,
    };
    fit(&mut file);
    file
}

/// Brings everything in line with the plans.
pub fn fit(file: &mut VerifierFile) {
    if file.proof.is_none() {
        let plan = |layer: &LayerKey| file.shapes.get(layer.shape as usize).map(|shape| &shape.plan);
        let limbs = file.layers.iter().map(|layer| vec![1; plan(layer).map_or(0, |plan| plan.tiles.len())]);
        let limbs = Limbs::Exact(limbs.collect());
        let openings = vec![G1::generator()];
        // Each table that `fit` adds is a point of its own, with 0 for all values.
        let zeros = |plan: &Plan| {
            vec![Table::from(vec![0; 1 << plan.geometry.limb_bits.min(20)]); plan.tables.min(4000) as usize]
        };
        let tables = file.layers.first().and_then(plan).map(zeros).unwrap_or_default();
        file.proof = Some(KeyProof { limbs, tables, openings, ranges: vec![] });
    }
    for layer in &mut file.layers {
        let Some(ShapeFile { plan, .. }) = file.shapes.get(layer.shape as usize) else { continue };
        let fill = |list: &mut Vec<G1>, count: u32| {
            let all = std::iter::successors(Some(G1::generator()), |point| Some(point + G1::generator()));
            list.truncate(count as usize);
            list.extend(all.take((count as usize).min(MOST_POINTS).saturating_sub(list.len())));
        };
        fill(&mut layer.tables, plan.tables);
        fill(&mut layer.weights, plan.weight_columns);
        layer.params.resize((plan.params as usize).min(MOST_POINTS), 0);
        for boundary in &plan.boundaries {
            let tensor = layer.tensor(boundary.port).and_then(|id| file.tensors.get_mut(id as usize));
            tensor.into_iter().for_each(|tensor| tensor.features = boundary.features);
        }
    }
    for Endpoint { tensor, value } in file.inputs.iter_mut().chain(&mut file.outputs) {
        let Some(tensor) = file.tensors.get(*tensor as usize) else { continue };
        if value.check_whole(u64::from(file.tokens) * u64::from(tensor.features)).is_err() {
            let shape = vec![file.tokens as usize, tensor.features as usize];
            *value = ValueInfo::row_major(value.name.clone(), shape, value.dtype);
        }
    }
}

fn point() -> Vec<u8> {
    G1::generator().to_bytes().as_ref().to_vec()
}

pub fn seal(file: &VerifierFile) -> Vec<u8> {
    format::encode(Kind::Verifier, file).unwrap()
}

/// Reads a verifier file as everybody does who gets one, and says what came of it: whether its keys hold what they must,
/// and the verdict on a proof that is well-formed and proves nothing.
pub fn read(file: &[u8]) -> String {
    let key = match VerifierKey::from_bytes(file) {
        Ok(key) => key,
        Err(error) => return error.to_string(),
    };
    let checked = key_proof::check(&key, true).map_or_else(|e| e.to_string(), |_| "checked".into());
    let options = VerifyOptions { allow_unsafe_srs: true, ..Default::default() };
    let verdict = verify(&key, &hollow(&key), &options).map_or_else(|e| e.to_string(), |_| "VERIFIED".into());
    format!("read; {checked}; {verdict}")
}

/// A bundle of all layers whose parts have the right form and prove nothing.
pub fn hollow(key: &VerifierKey) -> Bundle {
    let (mut public, mut committed) = (Vec::new(), Vec::new());
    for (tensor, spec) in (0..).zip(&key.tensors) {
        if spec.visibility.public() {
            let cells = (key.tokens as usize * spec.features as usize).min(1 << 20);
            public.push(PublicTensor { tensor, values: vec![spec.lo.max(0); cells] });
        } else {
            let lanes = key.layers.iter().zip(0u32..).find_map(|(layer, index)| {
                let boundaries = &key.shape(index).plan.boundaries;
                boundaries.iter().find(|b| layer.tensor(b.port) == Some(tensor)).map(|b| b.lanes.len())
            });
            committed.push(CommittedTensor { tensor, lanes: vec![G1::generator(); lanes.unwrap_or(0)] });
        }
    }
    let layers = (0..key.layers.len() as u32).map(|index| LayerProof { index, bytes: hollow_layer(key.shape(index)) });
    let layers = layers.collect();
    Bundle { model_id: key.model_id(), nonce: Vec::new(), length: key.tokens, answer: None, public, committed, layers }
}

/// A layer proof in the order of docs/file-formats.md.
fn hollow_layer(shape: &ShapeKey) -> Vec<u8> {
    let (plan, columns, cs) = (&shape.plan, &shape.columns, shape.vk.cs());
    let private = plan.lanes.iter().filter(|lane| lane.boundary.is_none()).count();
    let points = |count: usize| point().repeat(count);
    let scalars = |count: usize| vec![0; count * SCALAR_BYTES];
    let committed = cs.instance_queries().iter().filter(|query| query.0.index() < columns.committed()).count();
    let evaluations = committed + cs.advice_queries().len() + 1;
    let span = if columns.w == 1 { [points(1), scalars(SPAN_ROWS)].concat() } else { Vec::new() };
    [
        points(private + columns.v + columns.a + columns.b + columns.w),
        span,
        points(cs.num_advice_columns() + 1 + cs.degree() - 1),
        scalars(evaluations),
        points(1),
        scalars(2),
        points(1),
    ]
    .concat()
}

/// The hollow proof reaches the last equation, so that its cost is that of a whole verification.
#[test]
fn a_hollow_proof_fails_at_the_last_equation() {
    let _turn = crate::measure::turn();
    for file in [block(), sum(Geometry::new(6, 4, 4).unwrap()), sum(Geometry::new(6, 4, 1).unwrap())] {
        let said = read(&seal(&file));
        let last = ["the opening does not hold", "the weight fold is not that of the committed weights"];
        assert!(said.starts_with("read;") && last.iter().any(|last| said.ends_with(last)), "{said}");
    }
}

//! Forgeries put through the prover and the verifier themselves: the prover commits to forged lanes and computes all
//! else as well as it can be.

use crate::cells::{Change, Constraint};
use crate::delete::Deletion;
use crate::forge::{Forgery, forgeries};
use crate::target::{self, Target};
use nanozk_plan::{Plan, Port};
use nanozk_proof::field::{Fr, G1};
use nanozk_proof::keygen::keygen;
use nanozk_proof::layer::LayerKey;
use nanozk_proof::msm;
use nanozk_proof::pcs::ProverBases;
use nanozk_proof::prover::{LayerInput, LayerProver, ShapeProver, commit_lane, prove_layer, random_mask, table_column};
use nanozk_proof::publics::PublicData;
use nanozk_proof::srs::Srs;
use nanozk_proof::verifier::{LayerClaim, prepare_layer};
use nanozk_proof::weights::WeightColumns;
use nanozk_proof::witness::LaneColumn;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What all plans of one size share.
struct Ground {
    srs: Srs,
    bases: Arc<ProverBases>,
}

impl Ground {
    fn new(k: u32) -> Self {
        let srs = Srs::generate_unsafe(k, &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        let bases = Arc::new(ProverBases::new(&srs, k).unwrap());
        Ground { srs, bases }
    }
}

/// A layer set up under a plan.
struct Keyed<'t> {
    ground: &'t Ground,
    target: &'t Target,
    shape: ShapeProver,
    key: LayerKey,
    weights: WeightColumns,
}

impl<'t> Keyed<'t> {
    fn new(ground: &'t Ground, target: &'t Target, plan: &Plan) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let (layer, geometry, bases) = (&target.net.model.layers[0], &plan.geometry, &ground.bases);
        let masks = (0..plan.weight_columns).map(|_| random_mask(&mut rng)).collect();
        let weights = WeightColumns::lay_out(plan, &layer.weights, masks).unwrap();
        let table = |t: &Vec<i64>| msm::dense(bases.lagrange(), &table_column(geometry, t));
        let key = LayerKey {
            name: target.name.into(),
            shape: 0,
            inputs: Vec::new(),
            outputs: Vec::new(),
            params: layer.params.clone(),
            tables: layer.tables.iter().map(table).collect(),
            weights: weights.commit(geometry, bases),
        };
        Keyed { ground, target, shape: keygen(plan, bases).unwrap(), key, weights }
    }

    /// Whether the verifier accepts a proof for these cells and boundary tensors.
    fn accepts(&self, lanes: &[Vec<i64>], publics: &BTreeMap<Port, Vec<i64>>) -> bool {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let plan = &self.shape.key.plan;
        let column = |data: &Vec<i64>| LaneColumn { data: data.clone(), mask: random_mask(&mut rng) };
        let lanes: Vec<LaneColumn> = lanes.iter().map(column).collect();
        let commit = |l: &LaneColumn| commit_lane(&plan.geometry, &self.ground.bases, l);
        let boundary: Vec<Option<G1>> =
            plan.lanes.iter().zip(&lanes).map(|(spec, lane)| spec.boundary.map(|_| commit(lane))).collect();
        let tensor = |b: &nanozk_plan::Boundary| publics.get(&b.port).filter(|_| b.lanes.is_empty()).map(Vec::as_slice);
        let side = |input: bool| -> Vec<Option<&[i64]>> {
            plan.boundaries.iter().filter(|b| matches!(b.port, Port::Input(_)) == input).map(tensor).collect()
        };
        let (inputs, outputs) = (side(true), side(false));
        let public = PublicData { params: &self.key.params, inputs: &inputs, outputs: &outputs };
        let layer = LayerProver {
            shape: &self.shape,
            key: &self.key,
            tables: &self.target.net.model.layers[0].tables,
            weights: &self.weights,
            index: 0,
        };
        let prefix = Fr::from(7);
        let input = LayerInput { lanes, boundary: &boundary, public, prefix };
        // A prover that cannot read the public tensors sends nothing; the verifier cannot read them either.
        let proof = prove_layer(&self.ground.bases, &layer, input, &mut rng).unwrap_or_default();
        let claim =
            LayerClaim { shape: &self.shape.key, key: &self.key, index: 0, boundary: &boundary, public, prefix };
        prepare_layer(&claim, &proof).is_ok_and(|guard| guard.check(&self.ground.srs.verifier_params()))
    }
}

/// The forged lanes, with the changes among them; nothing when a cell holds no small integer.
fn forged_lanes(target: &Target, forgery: &Forgery) -> Option<Vec<Vec<i64>>> {
    let geometry = &target.plan().geometry;
    let mut lanes = forgery.lanes.clone();
    for Change { slot, token, value } in &forgery.field {
        lanes[(slot / geometry.groups) as usize][geometry.row(*slot, *token)] = msm::to_signed(value)?;
    }
    Some(lanes)
}

/// A forgery with what it breaks.
struct Chosen {
    forgery: Forgery,
    lanes: Vec<Vec<i64>>,
    alone: Option<Constraint>,
}

/// Up to `each` forgeries of every kind among those of every `step`-th value, those that break one constraint first.
fn choose(target: &Target, step: usize, each: usize) -> BTreeMap<&'static str, Vec<Chosen>> {
    let mut cells = target.cells(target.plan());
    let mut chosen = BTreeMap::<&str, Vec<Chosen>>::new();
    forgeries(&target.net, &target.lowered, step, &mut |forgery| {
        let changes = target.changes(&cells, &forgery);
        let Some(lanes) = forged_lanes(target, &forgery).filter(|_| !changes.is_empty()) else { return };
        let broken = cells.broken(&changes);
        let alone = broken.first().copied().filter(|_| broken.len() == 1);
        let of_kind = chosen.entry(forgery.kind).or_default();
        let known = |c: &Chosen| alone.is_none() || c.alone == alone;
        if of_kind.len() < each && !of_kind.iter().any(known) {
            of_kind.push(Chosen { forgery, lanes, alone });
        }
    });
    chosen
}

/// Every forgery is rejected, and accepted under keys of the plan without the constraint that it breaks alone.
fn through_the_prover(step: usize, each: usize, weak_plans: usize) {
    let (mut rejected, mut accepted) = (BTreeMap::<&str, usize>::new(), BTreeMap::<&str, usize>::new());
    for target in target::small() {
        let ground = Ground::new(target.plan().geometry.k);
        let keyed = Keyed::new(&ground, &target, target.plan());
        assert!(keyed.accepts(&target.lanes, &target.publics), "{}: the honest run is rejected", target.name);
        let chosen = choose(&target, step, each);
        for Chosen { forgery, lanes, .. } in chosen.values().flatten() {
            let what = format!("{}: {}: {}", target.name, forgery.kind, forgery.what);
            assert!(!keyed.accepts(lanes, &forgery.publics), "{what} is accepted");
            *rejected.entry(forgery.kind).or_default() += 1;
        }
        let mut tried = BTreeMap::<&str, BTreeSet<Deletion>>::new();
        for Chosen { forgery, lanes, alone } in chosen.values().flatten() {
            let Some(deletion) = alone.and_then(Deletion::of) else { continue };
            let of_kind = tried.entry(deletion.kind()).or_default();
            if of_kind.len() < weak_plans && of_kind.insert(deletion) {
                let weak = Keyed::new(&ground, &target, &deletion.apply(target.plan()));
                let what = format!("{}: {}: {} without {deletion:?}", target.name, forgery.kind, forgery.what);
                assert!(weak.accepts(lanes, &forgery.publics), "{what} is rejected");
                *accepted.entry(deletion.kind()).or_default() += 1;
            }
        }
    }
    println!("forgeries through the prover: {} rejected: {rejected:?}", rejected.values().sum::<usize>());
    println!("accepted without the constraint that they break: {accepted:?}");
    assert!(accepted.len() >= 3, "{accepted:?}");
}

#[test]
fn some_forgeries_through_the_prover() {
    through_the_prover(13, 1, 1);
}

#[test]
#[ignore = "thousands of proofs: minutes"]
fn all_forgeries_through_the_prover() {
    through_the_prover(1, 40, usize::MAX);
}

//! Forgeries put through the prover and the verifier themselves: the prover commits to forged lanes and computes all
//! else as well as it can be.

use crate::REAL;
use crate::cells::{Cells, Change, Constraint};
use crate::delete::Deletion;
use crate::forge::{Forgery, forgeries};
use crate::identity::Runs;
use crate::target::{self, Target};
use group::ff::Field;
use nanozk_plan::{Boundary, Plan, Port};
use nanozk_proof::cell::Cell;
use nanozk_proof::challenges::Challenges;
use nanozk_proof::field::{Fr, G1, int};
use nanozk_proof::keygen::keygen;
use nanozk_proof::layer::LayerKey;
use nanozk_proof::linear;
use nanozk_proof::msm::{self, to_signed};
use nanozk_proof::pcs::ProverBases;
use nanozk_proof::prover::{
    Chosen, Jump, LayerInput, LayerProver, ShapeProver, commit_lane, prove_layer_with, random_mask, table_column,
};
use nanozk_proof::publics::{PublicData, public_values};
use nanozk_proof::srs::Srs;
use nanozk_proof::verifier::{LayerClaim, prepare_layer};
use nanozk_proof::weights::WeightColumns;
use nanozk_proof::witness::LaneColumn;
use nanozk_tests::revealed::{Outcome, Proof};
use nanozk_tests::slow;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
        let table = |t: &nanozk_ir::int::Table| msm::dense(bases.lagrange(), &table_column(geometry, t));
        let key = LayerKey {
            name: target.name.into(),
            shape: 0,
            inputs: layer.inputs.clone(),
            outputs: layer.outputs.clone(),
            params: layer.params.clone(),
            tables: layer.tables.iter().map(table).collect(),
            weights: weights.commit(geometry, bases),
        };
        Keyed { ground, target, shape: keygen(plan, bases).unwrap(), key, weights }
    }

    /// Whether the verifier reads the public tensors at all: ids are within their vocabulary.
    fn reads(&self, publics: &BTreeMap<Port, Vec<i64>>) -> bool {
        let plan = &self.shape.key.plan;
        let (inputs, outputs) = (side(plan, publics, true), side(plan, publics, false));
        let public = PublicData { params: &self.key.params, inputs: &inputs, outputs: &outputs };
        public_values(plan, &public, &Challenges::new(Fr::ONE, Fr::ONE, Fr::ONE).unwrap()).is_some()
    }

    /// Whether the verifier accepts a proof for these cells and boundary tensors.
    fn accepts(&self, lanes: &Lanes, publics: &BTreeMap<Port, Vec<i64>>, columns: Columns) -> bool {
        match lanes {
            Lanes::Small(lanes) => self.accepts_cells(lanes, publics, columns),
            Lanes::Field(lanes) => self.accepts_cells(lanes, publics, columns),
        }
    }

    fn accepts_cells<C: Cell>(&self, lanes: &[Vec<C>], publics: &BTreeMap<Port, Vec<i64>>, columns: Columns) -> bool {
        let (inputs, outputs) = (side(self.plan(), publics, true), side(self.plan(), publics, false));
        let public = PublicData { params: &self.key.params, inputs: &inputs, outputs: &outputs };
        self.accepts_chosen(lanes, public, |ch, chosen| {
            if columns == Columns::OfTheHonestRun {
                let plan = self.plan();
                let publics = public_values(plan, &public, ch).unwrap();
                let tokens = plan.geometry.tokens as usize;
                let fold = |cells: &[i64]| cells.iter().fold(Fr::ZERO, |sum, cell| sum * ch.theta + int(*cell));
                chosen.v = self.target.lanes.iter().flat_map(|lane| lane.chunks(tokens).map(fold)).collect();
                chosen.a = linear::operand_values(plan, ch, &[chosen.v.as_slice(), &publics].concat());
            }
        })
    }

    fn plan(&self) -> &Plan {
        &self.shape.key.plan
    }

    /// Whether the verifier accepts a proof of the honest run by a prover who chooses columns or jumps.
    fn accepts_honest_lanes(&self, choose: impl FnOnce(&Challenges, &mut Chosen)) -> bool {
        self.prove_honest_lanes(choose).1
    }

    /// As in [`Self::prove_chosen`].
    fn prove_honest_lanes(&self, choose: impl FnOnce(&Challenges, &mut Chosen)) -> (Vec<u8>, bool) {
        let publics = &self.target.publics;
        let (inputs, outputs) = (side(self.plan(), publics, true), side(self.plan(), publics, false));
        let public = PublicData { params: &self.key.params, inputs: &inputs, outputs: &outputs };
        self.prove_chosen(&self.target.lanes, public, choose)
    }

    fn accepts_chosen<C: Cell>(
        &self,
        lanes: &[Vec<C>],
        public: PublicData,
        choose: impl FnOnce(&Challenges, &mut Chosen),
    ) -> bool {
        self.prove_chosen(lanes, public, choose).1
    }

    /// The proof, empty where the prover cannot make one, and whether the verifier accepts it.
    fn prove_chosen<C: Cell>(
        &self,
        lanes: &[Vec<C>],
        public: PublicData,
        choose: impl FnOnce(&Challenges, &mut Chosen),
    ) -> (Vec<u8>, bool) {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let plan = self.plan();
        let column = |data: &Vec<C>| LaneColumn { data: data.clone(), mask: random_mask(&mut rng) };
        let lanes: Vec<LaneColumn<C>> = lanes.iter().map(column).collect();
        let commit = |l: &LaneColumn<C>| commit_lane(&plan.geometry, &self.ground.bases, l);
        let boundary: Vec<Option<G1>> =
            plan.lanes.iter().zip(&lanes).map(|(spec, lane)| spec.boundary.map(|_| commit(lane))).collect();
        let layer = LayerProver {
            shape: &self.shape,
            key: &self.key,
            tables: &self.target.net.model.layers[0].table_values(),
            weights: Cow::Borrowed(&self.weights),
            index: 0,
        };
        let prefix = Fr::from(7);
        let input = LayerInput { lanes, boundary: &boundary, public, prefix };
        // A prover that cannot read the public tensors sends nothing; the verifier cannot read them either.
        let proof = prove_layer_with(&self.ground.bases, layer, input, &mut rng, choose).unwrap_or_default();
        let claim =
            LayerClaim { shape: &self.shape.key, key: &self.key, index: 0, boundary: &boundary, public, prefix };
        let srs = self.ground.srs.verifier_part();
        let accepted = prepare_layer(&claim, &proof).is_ok_and(|guard| guard.check(srs).is_ok());
        assert_eq!(slow::verify_layer(&claim, &proof, srs).is_ok(), accepted, "the verdicts of two verifiers");
        (proof, accepted)
    }
}

/// The public tensors of the input ports, or of the output ports.
fn side<'p>(plan: &Plan, publics: &'p BTreeMap<Port, Vec<i64>>, input: bool) -> Vec<Option<&'p [i64]>> {
    let tensor = |b: &Boundary| publics.get(&b.port).filter(|_| b.lanes.is_empty()).map(Vec::as_slice);
    plan.boundaries.iter().filter(|b| matches!(b.port, Port::Input(_)) == input).map(tensor).collect()
}

/// What the columns V and A hold, which the prover commits after the first challenges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Columns {
    /// What follows from the lanes.
    OfTheLanes,
    /// What follows from the honest run's lanes, so that relations and products hold.
    OfTheHonestRun,
}

/// Data rows of all lanes.
enum Lanes {
    Small(Vec<Vec<i64>>),
    Field(Vec<Vec<Fr>>),
}

impl Lanes {
    /// The lanes of a forgery, with its changes among them.
    fn new(target: &Target, forgery: &Forgery) -> Self {
        let geometry = &target.plan().geometry;
        let at = |c: &Change| ((c.slot / geometry.groups) as usize, geometry.row(c.slot, c.token));
        if let Some(small) = forgery.field.iter().map(|c| to_signed(&c.value)).collect::<Option<Vec<i64>>>() {
            let mut lanes = forgery.lanes.clone();
            forgery.field.iter().zip(small).for_each(|(c, value)| lanes[at(c).0][at(c).1] = value);
            return Lanes::Small(lanes);
        }
        let lane = |lane: &Vec<i64>| lane.iter().map(|cell| int(*cell)).collect();
        let mut lanes: Vec<Vec<Fr>> = forgery.lanes.iter().map(lane).collect();
        forgery.field.iter().for_each(|c| lanes[at(c).0][at(c).1] = c.value);
        Lanes::Field(lanes)
    }
}

/// A forgery with what it breaks.
pub struct Attempt {
    forgery: Forgery,
    lanes: Lanes,
    pub broken: BTreeSet<Constraint>,
}

impl Attempt {
    pub fn new(target: &Target, cells: &mut Cells, forgery: Forgery) -> Self {
        let (lanes, changes) = (Lanes::new(target, &forgery), target.changes(cells, &forgery));
        Attempt { forgery, lanes, broken: cells.broken(&changes) }
    }

    /// The only constraint that it breaks.
    pub fn alone(&self) -> Option<Constraint> {
        self.broken.first().copied().filter(|_| self.broken.len() == 1)
    }

    /// Whether it breaks equations between slots only, which the columns of an honest run satisfy.
    fn is_linear(&self) -> bool {
        self.broken.iter().all(|c| matches!(c, Constraint::Relation(..) | Constraint::Monomial(..)))
    }
}

/// Forgeries among those of every `step`-th value, of every kind as many as are still `wanted`, no two that break the
/// same constraint alone.
fn choose(target: &Target, step: usize, wanted: impl Fn(&str) -> usize) -> Vec<Attempt> {
    let mut cells = target.cells(target.plan());
    let mut chosen = BTreeMap::<&str, Vec<Attempt>>::new();
    forgeries(&target.net, &target.lowered, step, &mut |forgery| {
        let of_kind = chosen.entry(forgery.kind).or_default();
        if of_kind.len() < wanted(forgery.kind) && !target.changes(&cells, &forgery).is_empty() {
            let attempt = Attempt::new(target, &mut cells, forgery);
            if attempt.alone().is_none() || of_kind.iter().all(|other| other.alone() != attempt.alone()) {
                of_kind.push(attempt);
            }
        }
    });
    chosen.into_values().flatten().collect()
}

/// How many proofs were made, by what was forged or left out.
#[derive(Default)]
pub struct Counts {
    pub rejected: BTreeMap<&'static str, usize>,
    honest_columns: usize,
    pub accepted: BTreeMap<&'static str, usize>,
    accepted_fields: usize,
    unread: usize,
}

/// Each forgery is rejected, and accepted under keys of the plan without the one constraint that it breaks.
pub fn constraints(target: &Target, attempts: &[Attempt], weak_plans: usize, counts: &mut Counts) {
    let ground = Ground::new(target.plan().geometry.k);
    let keyed = Keyed::new(&ground, target, target.plan());
    let honest = Lanes::Small(target.lanes.clone());
    assert!(keyed.accepts(&honest, &target.publics, Columns::OfTheLanes), "{}: the honest run", target.name);
    for attempt @ Attempt { forgery, lanes, .. } in attempts {
        let what = format!("{}: {}: {}", target.name, forgery.kind, forgery.what);
        assert!(!keyed.accepts(lanes, &forgery.publics, Columns::OfTheLanes), "{what} is accepted");
        *counts.rejected.entry(forgery.kind).or_default() += 1;
        if attempt.is_linear() {
            assert!(!keyed.accepts(lanes, &forgery.publics, Columns::OfTheHonestRun), "{what} is accepted");
            counts.honest_columns += 1;
        }
    }
    let mut tried = BTreeMap::<&str, BTreeSet<Deletion>>::new();
    let (field, small): (Vec<_>, Vec<_>) = attempts.iter().partition(|a| matches!(a.lanes, Lanes::Field(_)));
    for attempt @ Attempt { forgery, lanes, .. } in field.into_iter().chain(small) {
        let Some(deletion) = attempt.alone().and_then(Deletion::of) else { continue };
        if !keyed.reads(&forgery.publics) {
            counts.unread += 1;
            continue;
        }
        let of_kind = tried.entry(deletion.kind()).or_default();
        if of_kind.len() < weak_plans && of_kind.insert(deletion) {
            let weak = Keyed::new(&ground, target, &deletion.apply(target.plan()));
            let what = format!("{}: {}: {} without {deletion:?}", target.name, forgery.kind, forgery.what);
            assert!(weak.accepts(lanes, &forgery.publics, Columns::OfTheLanes), "{what} is rejected");
            *counts.accepted.entry(deletion.kind()).or_default() += 1;
            counts.accepted_fields += usize::from(matches!(lanes, Lanes::Field(_)));
        }
    }
}

/// A forgery for the first part of each sort that the bilinear identity can lack is accepted without it, and rejected
/// with it. At most `each` of a sort over all targets.
fn identity(target: &Target, each: usize, counts: &mut Counts) {
    let ground = Ground::new(target.plan().geometry.k);
    let runs = Runs::new(target);
    let mut kinds = BTreeSet::new();
    for deletion in Deletion::all(target.plan()).into_iter().filter(|d| d.is_of_identity()) {
        let kind = deletion.kind();
        if counts.accepted.get(kind).is_some_and(|n| *n >= each) || !kinds.insert(kind) {
            continue;
        }
        let what = format!("{}: {deletion:?}", target.name);
        let (run, forgery) = runs.forge(deletion).unwrap_or_else(|| panic!("{what}: no forgery"));
        let lanes = Lanes::new(run, &forgery);
        let accepts =
            |plan: &Plan| Keyed::new(&ground, run, plan).accepts(&lanes, &forgery.publics, Columns::OfTheLanes);
        assert!(accepts(&deletion.apply(run.plan())), "{what}: a forgery is rejected");
        assert!(!accepts(run.plan()), "{what}: a forgery is accepted with it");
        *counts.rejected.entry("product without a part").or_default() += 1;
        *counts.accepted.entry(kind).or_default() += 1;
    }
}

/// Forgeries of every `step`-th value, `each` of a kind over all targets, and `weak_plans` of a sort.
fn through_the_prover(targets: &[Target], step: usize, each: usize, weak_plans: usize) -> Counts {
    let mut counts = Counts::default();
    for target in targets {
        let wanted = |kind: &str| each.saturating_sub(counts.rejected.get(kind).copied().unwrap_or(0));
        constraints(target, &choose(target, step, wanted), weak_plans, &mut counts);
        identity(target, weak_plans, &mut counts);
    }
    let Counts { rejected, honest_columns, accepted, accepted_fields, unread } = &counts;
    println!("forgeries through the prover: {} rejected: {rejected:?}", rejected.values().sum::<usize>());
    println!("{honest_columns} of them once more with the honest run's columns V and A: rejected");
    println!(
        "accepted where the part that they break is left out: {accepted:?}, {accepted_fields} with fractions in cells; \
         {unread} name public ids that the verifier does not read"
    );
    counts
}

/// The column B is another one, which the running sum makes up for: it starts at what is missing, or
/// jumps to it on its last row.
#[test]
fn sums_start_at_zero_and_follow_their_steps() {
    let targets = target::small();
    let target = targets.iter().find(|t| !t.plan().functionals.is_empty()).unwrap();
    let ground = Ground::new(target.plan().geometry.k);
    let keyed = Keyed::new(&ground, target, target.plan());
    let accepts = |wrong_b: bool, jump: Option<Jump>| {
        keyed.accepts_honest_lanes(|_, chosen| {
            chosen.b[0] += Fr::from(u64::from(wrong_b));
            chosen.jump = jump;
        })
    };
    assert!(accepts(false, None), "the honest run");
    assert!(!accepts(true, None), "a wrong B is accepted");
    for jump in [Jump::Start, Jump::End] {
        assert!(!accepts(true, Some(jump)), "a wrong B is accepted with {jump:?}");
    }
}

/// What the proof of a layer reveals is independent, whatever op the layer has; `rank.rs` says in which sense.
#[test]
fn proofs_of_every_op_reveal_independent_values() {
    for target in target::small() {
        let ground = Ground::new(target.plan().geometry.k);
        let keyed = Keyed::new(&ground, &target, target.plan());
        let (proof, accepted) = keyed.prove_honest_lanes(|_, _| {});
        assert!(accepted, "{}", target.name);
        let rng = |seed| ChaCha20Rng::seed_from_u64(seed);
        let (mut values, mut mask_rng) = (HashMap::new(), rng(2));
        let mut masks = |cell| *values.entry(cell).or_insert_with(|| Fr::random(&mut mask_rng));
        let mut revealed = Proof::new(&keyed.shape.key, (0, &keyed.key), 0, Fr::random(rng(1)), &mut masks, rng(3));
        let mut outcome = Outcome::default();
        assert_eq!(outcome.add(&mut revealed), proof.len(), "{}: not all that the proof reveals", target.name);
        assert_eq!(outcome.leaks, Vec::<String>::new(), "{}", target.name);
        println!("{}: {} independent values, {} implied", target.name, outcome.independent, outcome.implied);
    }
}

#[test]
fn some_forgeries_through_the_prover() {
    let counts = through_the_prover(&target::small(), 13, 2, 1);
    // Gates, lookups, relations; claims, operands of both sides, matrices, functionals, rows of functionals.
    assert_eq!(counts.accepted.len(), 9, "{:?}", counts.accepted);
    assert!(counts.accepted_fields > 0);
}

#[test]
#[ignore = "thousands of proofs: minutes"]
fn all_forgeries_through_the_prover() {
    through_the_prover(&target::small(), 1, 60, usize::MAX);
}

#[test]
#[ignore = "hundreds of proofs: minutes"]
fn forgeries_of_a_model_through_the_prover() {
    through_the_prover(&[Target::compiled(REAL)], 3, 5, 5);
}

//! A second verifier, plain and slow, to compare the verdicts of the fast one with.
//!
//! It follows docs/protocol.md sections 3 to 8 one equation, one point and one pairing at a time, with the stock transcript,
//! field, group and Halo2 verifier, and section 14 for answers. With `nanozk_proof` it shares what the two must agree on, and
//! no arithmetic: the readers of files, `Bundle::fits`, which tensors are those of an answer (`Writer::of`), the plan, and the
//! circuit (constraints and order of columns) that keys are made of; with `ir` a unit of noise (`gumbel::noise`).

use crate::hash::Preimage;
use blake2b_simd::State;
use ff::Field;
use halo2_proofs::plonk::prepare;
use halo2_proofs::poly::commitment::Guard;
use halo2_proofs::transcript::{CircuitTranscript, Hashable, Sampleable, Transcript};
use nanozk_ir::int::gumbel;
use nanozk_plan::format::VERSION;
use nanozk_plan::{Plan, Port, Term, TokenWeight};
use nanozk_proof::answer::{Fixed, Writer};
use nanozk_proof::bundle::Bundle;
use nanozk_proof::field::{Fr, G1, Kzg};
use nanozk_proof::keys::{VerifierKey, Visibility};
use nanozk_proof::publics::PublicData;
use nanozk_proof::srs::SrsVerifierPart;
use nanozk_proof::verifier::LayerClaim;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Mask rows whose Lagrange commitments re-randomise the weight fold.
const SPAN_ROWS: usize = 2;

/// Whether every proof of a bundle holds, and the public tokens are what it claims of them. The caller's wishes (model id, nonce, SRS, all layers) are no part of it.
pub fn verify(key: &VerifierKey, bundle: &Bundle) -> Result<(), String> {
    let file = key.to_bytes().map_err(|e| e.to_string())?;
    if bundle.model_id[..] != Preimage::new("nanozk model id").bytes("verifier file", &file).digest()[..] {
        return Err("another model".into());
    }
    bundle.fits(key).map_err(|e| e.to_string())?;
    if bundle.layers.is_empty() {
        return Err("no layer".into());
    }
    let noise = noise(key, bundle)?;
    let prefix = prefix(bundle);
    for proof in &bundle.layers {
        let layer = &key.layers[proof.index as usize];
        let shape = &key.shapes[layer.shape as usize];
        let mut boundary = vec![None; shape.plan.lanes.len()];
        for part in shape.plan.boundaries.iter().filter(|b| !b.lanes.is_empty()) {
            let tensor = layer.tensor(part.port).ok_or("no tensor at a port")?;
            let committed = bundle.committed.iter().find(|c| c.tensor == tensor).ok_or("no commitments of a tensor")?;
            if committed.lanes.len() != part.lanes.len() {
                return Err("another number of lanes".into());
            }
            part.lanes.iter().zip(&committed.lanes).for_each(|(lane, point)| boundary[*lane as usize] = Some(*point));
        }
        let values = |tensor: &u32| match &noise {
            Some((noise, values)) if noise == tensor => Some(values.as_slice()),
            _ => public(bundle, *tensor),
        };
        let inputs: Vec<_> = layer.inputs.iter().map(values).collect();
        let outputs: Vec<_> = layer.outputs.iter().map(values).collect();
        let public = PublicData { params: &layer.params, inputs: &inputs, outputs: &outputs };
        let claim = LayerClaim { shape, key: layer, index: proof.index, boundary: &boundary, public, prefix };
        verify_layer(&claim, &proof.bytes, &key.srs).map_err(|e| format!("layer {}: {e}", proof.index))?;
    }
    answered(key, bundle)
}

fn public(bundle: &Bundle, tensor: u32) -> Option<&[i64]> {
    bundle.public.iter().find(|p| p.tensor == tensor).map(|p| p.values.as_slice())
}

/// The tensor of noise and its values, as section 14 has them.
fn noise(key: &VerifierKey, bundle: &Bundle) -> Result<Option<(u32, Vec<i64>)>, String> {
    let temperature = bundle.answer.map_or(0, |answer| answer.temperature);
    let Some(id) = (0..).zip(&key.tensors).find_map(|(id, t)| (t.visibility == Visibility::Noise).then_some(id)) else {
        return if temperature == 0 { Ok(None) } else { Err("no noise".into()) };
    };
    let spec = &key.tensors[id as usize];
    let features = spec.features as usize;
    let mut values = vec![0; key.tokens as usize * features];
    if let Some(claim) = bundle.answer.filter(|_| temperature > 0) {
        let (least, greatest) = gumbel::range(temperature, spec.scale);
        if least < spec.lo || greatest > spec.hi {
            return Err("no room for the noise".into());
        }
        let tokens = public(bundle, Writer::of(key).map_err(|e| e.to_string())?.input).ok_or("hidden tokens")?;
        let prompt = tokens.get(..claim.prompt as usize).filter(|prompt| !prompt.is_empty()).ok_or("the prompt")?;
        let seed = Preimage::new("nanozk noise")
            .bytes("model id", &bundle.model_id)
            .bytes("nonce", &bundle.nonce)
            .bytes("temperature", &temperature.to_le_bytes())
            .integers("prompt", prompt)
            .digest();
        for token in prompt.len() - 1..bundle.length as usize {
            let mut stream = ChaCha20Rng::from_seed(seed);
            stream.set_stream(token as u64);
            for score in 0..features {
                values[token * features + score] = gumbel::noise(stream.next_u64(), temperature, spec.scale);
            }
        }
    }
    Ok(Some((id, values)))
}

/// Whether each token behind the prompt is the model's choice, and none is missing (section 14).
fn answered(key: &VerifierKey, bundle: &Bundle) -> Result<(), String> {
    let Some(claim) = bundle.answer else { return Ok(()) };
    let writer = Writer::of(key).map_err(|e| e.to_string())?;
    let values = |tensor: u32| public(bundle, tensor).ok_or("a hidden tensor");
    let (read, chosen) = (values(writer.input)?, values(writer.output)?);
    let (prompt, length) = (claim.prompt as usize, bundle.length as usize);
    if prompt == 0 || prompt > length || (claim.temperature > 0 && bundle.nonce.is_empty()) {
        return Err("the prompt, or a draw without a nonce".into());
    }
    for (tensor, fixed) in writer.fixed {
        let fits = match fixed {
            Fixed::Mask => values(tensor)?.iter().all(|shown| *shown == 1),
            Fixed::Positions => {
                values(tensor)?.iter().enumerate().all(|(at, place)| *place == if at < length { at as i64 } else { 0 })
            }
        };
        if !fits {
            return Err("the mask, or the positions".into());
        }
    }
    let ends = |token: i64| key.text.end.iter().any(|end| i64::from(*end) == token);
    if (prompt..length).any(|at| read[at] != chosen[at - 1] || ends(read[at])) {
        return Err("a token".into());
    }
    let count = length - prompt + 1;
    let complete = ends(chosen[length - 1]) || count == claim.limit as usize || length == key.tokens as usize;
    if complete && count <= claim.limit as usize { Ok(()) } else { Err("the end of the answer".into()) }
}

/// What all layer proofs of a bundle are bound to.
fn prefix(bundle: &Bundle) -> Fr {
    let claim = bundle.answer.iter().flat_map(|a| [a.prompt, a.limit, a.temperature]);
    let answer: Vec<u8> = claim.flat_map(u32::to_le_bytes).collect();
    let mut preimage = Preimage::new("nanozk bundle")
        .bytes("version", &VERSION.to_le_bytes())
        .bytes("model id", &bundle.model_id)
        .bytes("nonce", &bundle.nonce)
        .bytes("length", &bundle.length.to_le_bytes())
        .bytes("answer", &answer);
    for tensor in &bundle.public {
        preimage = preimage.bytes("public tensor", &tensor.tensor.to_le_bytes()).integers("values", &tensor.values);
    }
    for tensor in &bundle.committed {
        preimage = preimage.bytes("committed tensor", &tensor.tensor.to_le_bytes()).points("lanes", &tensor.lanes);
    }
    preimage.scalar()
}

/// The stock transcript, except that it stops to absorb common inputs once these are functions of what it has absorbed.
#[derive(Clone)]
struct Suppressing {
    inner: CircuitTranscript<State>,
    bound: bool,
}

impl Transcript for Suppressing {
    type Hash = State;

    fn init() -> Self {
        Suppressing { inner: CircuitTranscript::init(), bound: false }
    }

    fn init_from_bytes(bytes: &[u8]) -> Self {
        Suppressing { inner: CircuitTranscript::init_from_bytes(bytes), bound: false }
    }

    fn squeeze_challenge<T: Sampleable<State>>(&mut self) -> T {
        self.inner.squeeze_challenge()
    }

    fn common<T: Hashable<State>>(&mut self, input: &T) -> io::Result<()> {
        if self.bound { Ok(()) } else { self.inner.common(input) }
    }

    fn read<T: Hashable<State>>(&mut self) -> io::Result<T> {
        self.inner.read()
    }

    fn write<T: Hashable<State>>(&mut self, input: &T) -> io::Result<()> {
        self.inner.write(input)
    }

    fn finalize(self) -> Vec<u8> {
        self.inner.finalize()
    }

    fn assert_empty(&mut self) -> io::Result<()> {
        self.inner.assert_empty()
    }
}

/// The challenges of a layer before Halo2's.
struct Challenges {
    theta: Fr,
    rho: Fr,
    eta: Fr,
    lambda: Fr,
}

/// `base^exponent` for an exponent of either sign.
fn power(base: Fr, exponent: i64) -> Fr {
    let power = base.pow_vartime([exponent.unsigned_abs()]);
    if exponent < 0 { power.invert().unwrap() } else { power }
}

fn integer(value: i64) -> Fr {
    let magnitude = Fr::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

fn sum(points: &[G1], factors: impl Iterator<Item = Fr>) -> G1 {
    points.iter().zip(factors).map(|(point, factor)| *point * factor).sum()
}

/// Whether the proof of one layer holds.
pub fn verify_layer(claim: &LayerClaim, proof: &[u8], srs: &SrsVerifierPart) -> Result<(), String> {
    let shape = claim.shape;
    let plan = &*shape.plan;
    let fail = |e: io::Error| e.to_string();
    let mut transcript = Suppressing::init_from_bytes(proof);
    let position = [Fr::from(u64::from(claim.index)), Fr::from(u64::from(claim.key.shape))];
    for value in [claim.prefix, position[0], position[1], shape.vk.transcript_repr()] {
        transcript.common(&value).map_err(fail)?;
    }

    let mut lanes: Vec<G1> = Vec::new();
    for (lane, known) in plan.lanes.iter().zip(claim.boundary) {
        if lane.boundary.is_some() != known.is_some() {
            return Err("a lane and its tensor".into());
        }
        lanes.push(known.map_or_else(|| transcript.read(), Ok).map_err(fail)?);
    }
    let draw = |transcript: &mut Suppressing| -> Result<Fr, String> {
        let challenge: Fr = transcript.squeeze_challenge();
        if challenge == Fr::ZERO { Err("a challenge is 0".into()) } else { Ok(challenge) }
    };
    let [theta, rho, eta] = [draw(&mut transcript)?, draw(&mut transcript)?, draw(&mut transcript)?];
    let columns = &shape.columns;
    let mut read = |count: usize| (0..count).map(|_| transcript.read()).collect::<io::Result<Vec<G1>>>().map_err(fail);
    let (v, a, b, w) = (read(columns.v)?, read(columns.a)?, read(columns.b)?, read(columns.w)?);
    if let Some(opened) = w.first() {
        let t: G1 = transcript.read().map_err(fail)?;
        let c: Fr = transcript.squeeze_challenge();
        let z = (0..SPAN_ROWS).map(|_| transcript.read()).collect::<io::Result<Vec<Fr>>>().map_err(fail)?;
        let fold = sum(&claim.key.weights, (0..).map(|column| power(rho, column)));
        if sum(&shape.span_basis, z.into_iter()) != t + (*opened - fold) * c {
            return Err("the weight fold".into());
        }
    }
    let lambda = draw(&mut transcript)?;
    let ch = Challenges { theta, rho, eta, lambda };

    let mut committed: Vec<G1> = opened_lanes(plan).into_iter().map(|lane| lanes[lane as usize]).collect();
    committed.extend([v, a, b, w].concat());
    if plan.geometry.tokens > 1 {
        let groups = i64::from(plan.geometry.groups);
        committed.push(sum(&lanes, (0..).map(|lane| power(lambda, lane * groups))));
    }
    committed.extend_from_slice(&claim.key.tables);

    let mut plain = omega_columns(plan, columns.omega_v(), &claim.public, &ch).ok_or("the public data")?;
    plain.extend(fixed_columns(plan));
    let plain: Vec<&[Fr]> = plain.iter().map(Vec::as_slice).collect();
    transcript.bound = true;
    let guard =
        prepare::<Fr, Kzg, _>(&shape.vk, &[&committed], &[&plain], &mut transcript).map_err(|e| e.to_string())?;
    transcript.assert_empty().map_err(fail)?;
    guard.verify(&srs.params()).map_err(|_| "the opening".into())
}

/// Lanes that the circuit reads cell by cell.
fn opened_lanes(plan: &Plan) -> BTreeSet<u32> {
    if plan.geometry.tokens == 1 {
        return (0..plan.lanes.len() as u32).collect();
    }
    let mut out = BTreeSet::new();
    for gate in &plan.gates {
        [&gate.a, &gate.b, &gate.c].into_iter().for_each(|form| out.extend(form.terms.iter().map(|term| term.0)));
    }
    plan.lookups.iter().for_each(|lookup| out.extend([Some(lookup.a), lookup.b].into_iter().flatten()));
    for functional in &plan.functionals {
        out.extend(functional.entries.iter().map(|entry| entry.slot / plan.geometry.groups));
    }
    out
}

/// First exponents of lambda: of the slots of V, rows of B, rows of A, relations.
fn bases(plan: &Plan) -> [i64; 4] {
    let slots = if plan.geometry.tokens > 1 { i64::from(plan.lane_slots()) } else { 0 };
    let b = 1 + slots;
    let a = b + i64::from(plan.operand_rows());
    [1, b, a, a + plan.geometry.rows() as i64]
}

/// Omega_C and Omega_F: the weight of each cell of the fold, and of each lane that functionals read.
fn cell_weights(plan: &Plan, ch: &Challenges) -> Vec<Vec<Fr>> {
    let (tokens, rows) = (i64::from(plan.geometry.tokens), plan.geometry.rows());
    let [base_v, base_b, ..] = bases(plan);
    let mut out = Vec::new();
    if tokens > 1 {
        let weight = |row: i64| power(ch.lambda, base_v + row / tokens) * power(ch.theta, tokens - 1 - row % tokens);
        out.push((0..rows as i64).map(weight).collect());
    }
    let mut lanes: BTreeMap<u32, Vec<Fr>> = BTreeMap::new();
    for functional in &plan.functionals {
        for entry in &functional.entries {
            let lane = lanes.entry(entry.slot / plan.geometry.groups).or_insert_with(|| vec![Fr::ZERO; rows]);
            for token in 0..plan.geometry.tokens {
                let (row, t) = (base_b + i64::from(entry.row), i64::from(token));
                lane[plan.geometry.row(entry.slot, token)] += match functional.kind {
                    TokenWeight::Eta => power(ch.lambda, row) * power(ch.eta, tokens - 1 - t),
                    TokenWeight::Row => power(ch.lambda, row + t) * power(ch.rho, entry.rho.into()),
                };
            }
        }
    }
    out.extend(lanes.into_values());
    out
}

/// The fixed columns: those of the plan, active, data, first, last, index.
fn fixed_columns(plan: &Plan) -> Vec<Vec<Fr>> {
    let geometry = &plan.geometry;
    let (rows, masks) = (geometry.rows(), geometry.mask_rows());
    let ones = |at: &dyn Fn(usize) -> bool| (0..masks.end).map(|row| Fr::from(u64::from(at(row)))).collect::<Vec<_>>();
    let mut out = Vec::new();
    for (id, column) in (0..).zip(&plan.fixed) {
        let masks_lookups = plan.lookups.iter().any(|lookup| lookup.mask == Some(id));
        let mut values = if masks_lookups { ones(&|row| masks.contains(&row)) } else { vec![Fr::ZERO; masks.end] };
        for &(start, len, value) in &column.runs {
            (start..start + len).for_each(|row| values[row as usize] = integer(value));
        }
        out.push(values);
    }
    out.push(ones(&|row| row < rows || masks.contains(&row)));
    out.push(ones(&|row| row < rows));
    out.push(ones(&|row| row == 0));
    out.push(ones(&|row| row == rows));
    out.push((0..1 << geometry.limb_bits).map(Fr::from).collect());
    out
}

/// Omega_V, Omega_C, Omega_F, Omega_A, Omega_B and the constant, from the equations one by one. `None` when a public value is missing.
fn omega_columns(plan: &Plan, v_columns: usize, public: &PublicData, ch: &Challenges) -> Option<Vec<Vec<Fr>>> {
    let [base_v, base_b, base_a, base_relations] = bases(plan);
    let (lane_slots, rows) = (plan.lane_slots() as usize, plan.geometry.rows());
    let mut slots = vec![Fr::ZERO; plan.slots() as usize];
    let monomial = |(rho, eta): (u32, u32)| power(ch.rho, rho.into()) * power(ch.eta, eta.into());
    if plan.geometry.tokens > 1 {
        (0..lane_slots).for_each(|slot| slots[slot] -= power(ch.lambda, base_v + slot as i64));
    }
    let mut add = |terms: &[Term], repetition: u32, weight: Fr| {
        for term in terms {
            slots[term.at(repetition) as usize] += integer(term.coef) * weight;
        }
    };
    for claim in &plan.claims {
        (0..claim.count).for_each(|i| add(&claim.terms, i, -monomial(claim.monomial.at(i))));
    }
    // An equation of A is `A - operands`, one of B `right operands - B`.
    for (operands, base, sign) in [(&plan.operands, base_a, -Fr::ONE), (&plan.right_operands, base_b, Fr::ONE)] {
        for operand in operands {
            for i in 0..operand.count {
                let row = i64::from(operand.row) + i64::from(operand.row_stride) * i64::from(i);
                add(&operand.terms, i, sign * power(ch.lambda, base + row) * monomial(operand.monomial.at(i)));
            }
        }
    }
    let mut exponent = base_relations;
    for relation in &plan.relations {
        for i in 0..relation.count {
            add(&relation.terms, i, power(ch.lambda, exponent));
            exponent += 1;
        }
    }
    let constant: Fr =
        slots.split_off(lane_slots).iter().zip(public_slots(plan, public, ch)?).map(|(w, p)| *w * p).sum();

    let mut out: Vec<Vec<Fr>> = slots.chunks(rows).map(<[Fr]>::to_vec).collect();
    assert_eq!(out.len(), v_columns);
    out.extend(cell_weights(plan, ch));
    if !plan.operands.is_empty() {
        out.push((0..rows as i64).map(|row| power(ch.lambda, base_a + row)).collect());
    }
    if !plan.functionals.is_empty() || !plan.right_operands.is_empty() {
        out.push((0..i64::from(plan.operand_rows())).map(|row| -power(ch.lambda, base_b + row)).collect());
    }
    out.push(vec![constant]);
    Some(out)
}

/// The compressed public slots.
fn public_slots(plan: &Plan, data: &PublicData, ch: &Challenges) -> Option<Vec<Fr>> {
    let tokens = plan.geometry.tokens;
    let tensor = |port: Port| match port {
        Port::Input(p) => data.inputs.get(p as usize).copied().flatten(),
        Port::Output(p) => data.outputs.get(p as usize).copied().flatten(),
    };
    let cell = |port: Port, token: u32, feature: u32| {
        let values = tensor(port)?;
        values.get(token as usize * (values.len() / tokens as usize) + feature as usize).copied()
    };
    let mut out = Vec::new();
    for public in &plan.publics {
        for index in 0..plan.public_len(public) {
            let mut slot = Fr::ZERO;
            for token in 0..tokens {
                let value = plan.public_value(public, index, token, data.params, cell)?;
                slot = slot * ch.theta + integer(value);
            }
            out.push(slot);
        }
    }
    Some(out)
}

//! How many bits a model gets: as many as its outputs need to stay within the tolerance on the sample data.

use crate::blame::worst_node;
use crate::circuits::{Circuits, lay_out};
use crate::config::{Config, EMBEDDED_K, Head, MAX_K, Quantise, STRONGEST_K};
use crate::error::CompileError;
use crate::fidelity::{Measured, Models};
use crate::partition::Partition;
use crate::quantise::{self, ParkedWeights, QuantiseError, Quantised, Stats};
use crate::scores::Scores;
use nanozk_ir::float::{Graph, InputValue};
use nanozk_ir::int::Model;
use nanozk_plan::ValueInfo;

/// Narrowest limbs that are tried where the settings name no width.
const LEAST_LIMB_BITS: u32 = 8;
/// Widest limbs that are tried where the settings name no width.
pub(crate) const GREATEST_LIMB_BITS: u32 = 16;

/// What narrower limbs must save at least to be worth coarser outputs: this share of the score. Any saving is taken where
/// outputs come no further from the source model's.
const NARROW_SAVES: f64 = 1.0 / 8.0;

/// Circuits that an SRS of this program serves, and how much greater than the least their score may be: proofs need nobody's
/// trust in the machine that made the SRS, or have 121 bits of soundness in place of 115.
const SERVED: [(u32, f64); 2] = [(STRONGEST_K, 1.05), (EMBEDDED_K, 3.0)];

/// How much further from the source model the outputs of such circuits may be than the narrow tolerance allows: a bit
/// less in each activation doubles the difference.
const EMBEDDED_COARSER: f64 = 3.0;

/// A source model, cut into layers, with its sample data.
pub(crate) struct Source<'s> {
    pub graph: &'s Graph,
    pub outputs: &'s [ValueInfo],
    pub partition: Partition,
    pub stats: &'s Stats,
    pub samples: &'s [Vec<InputValue>],
    /// Its outputs for each sample.
    pub floats: &'s [Vec<Vec<f64>>],
    /// The scores behind its outputs by sample, where these are the place of the greatest; none where they are not.
    pub scores: &'s [Vec<Vec<f32>>],
}

/// Circuits with what their integers do on the sample data.
pub(crate) struct Chosen {
    pub circuits: Circuits,
    pub measured: Measured,
    /// What was chosen in place of the usual widths and what it costs, in words.
    pub choice: Option<String>,
}

impl Chosen {
    /// What `other` finds while these circuits wait, their weights packed.
    fn waits<T>(&mut self, other: impl FnOnce(&Self) -> T) -> T {
        let weights = ParkedWeights::take(&mut self.circuits.model.layers);
        let found = other(self);
        weights.give_back(&mut self.circuits.model.layers);
        found
    }
}

/// What circuits must keep.
#[derive(Clone, Copy)]
struct Limit {
    /// At most `2^max_k` rows.
    max_k: u32,
    /// Largest gap.
    tolerance: f64,
}

/// A model at some widths, with what its integers do on the sample data.
struct Trial {
    quantise: Quantise,
    quantised: Quantised,
    measured: Measured,
}

impl Source<'_> {
    /// The cheapest circuits with at most `max_k`. Without one: circuits that an SRS of this program serves ([`SERVED`]), where
    /// their outputs stay within the narrow tolerance, or not much further off than any.
    ///
    /// # Errors
    /// When no widths will do, unless a gap is accepted; when the model has no integer form or no circuit.
    pub fn circuits(&self, config: &Config, accept_gap: bool) -> Result<Chosen, CompileError> {
        let mut best = self.faithful(config, accept_gap)?;
        let usual = config.quantise.narrow_tolerance == 0.0 || best.choice.is_some();
        if config.max_k.is_some() || usual {
            return Ok(best);
        }
        for (max_k, worth) in SERVED {
            if best.circuits.k() <= max_k {
                break;
            }
            if let Some(small) = best.waits(|best| self.served(config, best, max_k, worth)) {
                return Ok(small);
            }
        }
        Ok(best)
    }

    /// Circuits of at most `2^max_k` rows whose score is at most `worth` times that of the best ones, and whose outputs stay
    /// close.
    fn served(&self, config: &Config, best: &Chosen, max_k: u32, worth: f64) -> Option<Chosen> {
        let most = best.circuits.score * worth;
        if best.circuits.least_score(max_k) > most {
            return None;
        }
        // A table of 2^bits entries needs more rows than that.
        let bits = config.quantise.limb_bits.unwrap_or(best.circuits.model.limb_bits.min(max_k - 1));
        let limit = Limit { max_k, tolerance: config.quantise.tolerance };
        let small = self.narrow(config, bits, limit).map(|small| self.narrowed(config, small, max_k))?;
        let coarser = config.quantise.narrow_tolerance.max(best.measured.gap() * EMBEDDED_COARSER);
        // Where the output is a choice, the gap is that between scores which a bit less confuses: none or any.
        let allowed = if config.head == Head::Argmax { config.quantise.tolerance } else { coarser };
        (small.measured.gap() <= allowed && small.circuits.score <= most).then_some(small)
    }

    /// The circuits at the configured widths, or at the first greater ones at which every output stays within the
    /// tolerance. Where the usual limbs do and the settings name no width, smaller ones are taken as long as the table of
    /// limbs is what asks for the rows, the circuits get cheaper and the outputs stay much closer than that.
    fn faithful(&self, config: &Config, accept_gap: bool) -> Result<Chosen, CompileError> {
        let max_k = config.max_k.unwrap_or(MAX_K);
        let configured = usual(&config.quantise, max_k);
        let mut failed: Option<CompileError> = None;
        let mut missed: Option<Trial> = None;
        let mut first: Option<(f64, u64)> = None;
        for quantise in wider(&configured) {
            let trial = match self.trial(config, quantise) {
                Ok(trial) => trial,
                Err(error) if depends_on_widths(&error) => {
                    failed.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let &mut (gap, lookups) = first.get_or_insert((trial.measured.gap(), trial.lookups()));
            if trial.measured.gap() > config.quantise.tolerance {
                if missed.as_ref().is_none_or(|m| trial.measured.gap() < m.measured.gap()) {
                    missed = Some(trial);
                }
                continue;
            }
            let choice = trial.choice(&configured, gap, lookups);
            match lay_out(trial.quantised.model, config.optimize, max_k) {
                Ok(circuits) => {
                    let chosen = Chosen { circuits, measured: trial.measured, choice };
                    return Ok(if chosen.choice.is_none() { self.narrowed(config, chosen, max_k) } else { chosen });
                }
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        match (missed, failed) {
            (Some(trial), _) if accept_gap => {
                let choice = first.and_then(|(gap, lookups)| trial.choice(&configured, gap, lookups));
                let circuits = lay_out(trial.quantised.model, config.optimize, max_k)?;
                Ok(Chosen { circuits, measured: trial.measured, choice })
            }
            (Some(trial), _) => Err(self.gap(config, &trial)),
            (None, Some(error)) => Err(error),
            (None, None) => Err(QuantiseError::NoData.into()),
        }
    }

    fn trial(&self, config: &Config, quantise: Quantise) -> Result<Trial, CompileError> {
        let config = Config { quantise, ..config.clone() };
        let quantised = quantise::quantise(self.graph, &self.partition, self.stats, &config)?;
        let models = Models { model: &quantised.model, outputs: self.outputs, head: config.head };
        let measured = match self.scores {
            [] => models.measure(self.samples, self.floats)?,
            scores => {
                let mut scores = Scores::new(self.graph, &quantised, scores);
                let see = &mut |sample: usize, layer: usize, values: &[Vec<i64>]| scores.see(sample, layer, values);
                let mut measured = models.measure_beside(self.samples, self.floats, see)?;
                scores.replace(&mut measured.gaps);
                measured
            }
        };
        Ok(Trial { quantise: config.quantise, quantised, measured })
    }

    /// Cheaper circuits with narrower limbs, or those given.
    fn narrowed(&self, config: &Config, mut best: Chosen, max_k: u32) -> Chosen {
        if config.quantise.limb_bits.is_some() || config.head == Head::Argmax {
            return best;
        }
        let limit = Limit { max_k, tolerance: config.quantise.narrow_tolerance };
        for bits in (LEAST_LIMB_BITS..best.circuits.model.limb_bits).rev() {
            if !best.bound_by_table() {
                break;
            }
            // What does not fit narrow limbs needs the usual ones.
            let Some(next) = best.waits(|_| self.narrow(config, bits, limit)) else { break };
            if !next.cheaper_than(&best) {
                break;
            }
            best = next;
        }
        let next = if best.bound_by_table() { self.halved(config, limit) } else { None };
        next.filter(|next| next.cheaper_than(&best)).unwrap_or(best)
    }

    /// The circuits with limbs of `bits`, if they stay within the limit.
    fn narrow(&self, config: &Config, bits: u32, limit: Limit) -> Option<Chosen> {
        let quantise = Quantise { limb_bits: Some(bits), ..config.quantise.clone() };
        self.within(config, quantise, limit, Some)
    }

    /// The circuits with the narrowest limbs, two to an activation, and no table of a function, if they stay within the limit.
    fn halved(&self, config: &Config, limit: Limit) -> Option<Chosen> {
        let quantise = Quantise { limb_bits: Some(2 * LEAST_LIMB_BITS), compare: true, ..config.quantise.clone() };
        self.within(config, quantise, limit, quantise::halve_limbs)
    }

    /// The circuits at these widths, of the same integers in the form that `changed` gives them, if they stay within the limit.
    fn within(
        &self,
        config: &Config,
        quantise: Quantise,
        limit: Limit,
        changed: impl FnOnce(Model) -> Option<Model>,
    ) -> Option<Chosen> {
        let trial = self.trial(config, quantise).ok().filter(|t| t.measured.gap() <= limit.tolerance)?;
        let circuits = lay_out(changed(trial.quantised.model)?, config.optimize, limit.max_k).ok()?;
        Some(Chosen { circuits, measured: trial.measured, choice: None })
    }

    /// Why the model that came closest is refused.
    fn gap(&self, config: &Config, trial: &Trial) -> CompileError {
        let worst = trial.measured.worst();
        let blame = worst_node(self.graph, &trial.quantised, self.samples).ok().flatten();
        CompileError::Gap {
            output: worst.map(|g| g.output.clone()).unwrap_or_default(),
            gap: trial.measured.gap(),
            tolerance: config.quantise.tolerance,
            limb_bits: trial.quantised.model.limb_bits,
            node: blame.map(|b| format!("node \"{}\" ({}) loses most, {:.1e} of its own scale", b.node, b.op, b.error)),
        }
    }
}

impl Chosen {
    /// Whether the table of limbs is what asks for so many rows.
    fn bound_by_table(&self) -> bool {
        self.circuits.k() <= self.circuits.model.limb_bits + 1
    }

    /// Whether these circuits save enough for what their outputs lose.
    fn cheaper_than(&self, other: &Chosen) -> bool {
        let share = if self.measured.gap() > other.measured.gap() { 1.0 - NARROW_SAVES } else { 1.0 };
        self.circuits.score < other.circuits.score * share
    }
}

impl Trial {
    fn lookups(&self) -> u64 {
        let model = &self.quantised.model;
        let shapes = quantise::lookups(model);
        model.layers.iter().map(|layer| shapes[layer.shape as usize].total).sum()
    }

    /// How the widths differ from the usual ones, and what that does.
    fn choice(&self, usual: &Quantise, gap: f64, lookups: u64) -> Option<String> {
        let named = [
            ("limbs", usual.limb_bits(), self.quantise.limb_bits()),
            ("exponentials", usual.exp_bits, self.quantise.exp_bits),
            ("reciprocals of their sums", usual.mean_bits, self.quantise.mean_bits),
        ];
        let changed = named.iter().filter(|(_, from, to)| from != to);
        let changed: Vec<String> = changed.map(|(what, from, to)| format!("{what} of {to} bits for {from}")).collect();
        (!changed.is_empty()).then(|| {
            let (now, cost) = (self.measured.gap(), self.lookups());
            format!("{}: a gap of {now:.1e} for {gap:.1e}, {cost} lookups for {lookups}", changed.join(", "))
        })
    }
}

/// The configured widths; where none is for limbs, none whose table needs more than `2^max_k` rows.
fn usual(configured: &Quantise, max_k: u32) -> Quantise {
    let fits = max_k.saturating_sub(1);
    let limb_bits = configured.limb_bits.or_else(|| (configured.limb_bits() > fits).then_some(fits));
    Quantise { limb_bits, ..configured.clone() }
}

/// The configured widths and greater ones; a width of limbs that is configured stays.
fn wider(usual: &Quantise) -> Vec<Quantise> {
    let least = usual.limb_bits();
    let more = |extra: u32| Quantise {
        limb_bits: usual.limb_bits.or_else(|| (extra > 0).then_some(least + extra)),
        exp_bits: (usual.exp_bits + extra).min(Quantise::GREATEST_EXP_BITS),
        mean_bits: (usual.mean_bits + extra / 2).min(Quantise::GREATEST_MEAN_BITS),
        ..usual.clone()
    };
    (0..=GREATEST_LIMB_BITS.saturating_sub(least)).map(more).collect()
}

/// Whether other widths may help.
fn depends_on_widths(error: &CompileError) -> bool {
    match error {
        CompileError::Quantise(error) => matches!(
            error,
            QuantiseError::Range { .. } | QuantiseError::Weight { .. } | QuantiseError::Unsettled { .. }
        ),
        _ => false,
    }
}

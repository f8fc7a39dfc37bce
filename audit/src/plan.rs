//! Inclusion probabilities from weights.

use crate::design::{Design, DesignError, UNIT};

/// Where the probability of layers that are not pinned ends, if they need no more: drawing gets slow near 1.
const NEAR: f64 = 63.0 / 64.0;

/// Weights below this share of the greatest count as this share, so that more than the floor can go to such layers
/// where others have all they can have.
const LEAST: f64 = 1e-9;

/// What helps where weights are none.
const MEASURE: &str = "measure them again with `nanozk sensitivity`";

/// What decides how likely layers are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weights<'a> {
    /// All alike: no layer is a better place to cheat than another.
    Uniform,
    /// In proportion to these, at least `floor` each. By layer; not negative.
    Given {
        /// By layer.
        weights: &'a [f64],
        /// Least probability of a layer.
        floor: f64,
    },
}

/// Why there is no such plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// More or fewer layers than there are.
    #[error("{drawn} of {layers} layers cannot be drawn; choose 1 to {layers}")]
    Drawn {
        /// Asked for.
        drawn: u32,
        /// Layers of the model.
        layers: usize,
    },
    /// Only pinned layers would be drawn.
    #[error("{pinned} layers are pinned and {drawn} drawn, which leaves none for the others; draw at least {}", pinned + 1)]
    Pinned {
        /// Pinned layers.
        pinned: usize,
        /// Layers drawn.
        drawn: u32,
    },
    /// A floor that does not fit.
    #[error(
        "a floor of {floor} is outside (0, {most:.6}], what {left} draws allow each of {open} layers; choose another floor"
    )]
    Floor {
        /// Asked for.
        floor: f64,
        /// Greatest possible.
        most: f64,
        /// Layers drawn among those not pinned.
        left: usize,
        /// Layers that are not pinned.
        open: usize,
    },
    /// Weights of other layers than there are.
    #[error("{weights} weights for {layers} layers; {MEASURE}")]
    WeightCount {
        /// Weights given.
        weights: usize,
        /// Layers of the model.
        layers: usize,
    },
    /// A weight that is negative or not finite.
    #[error("the weight of layer {layer} is {weight}; {MEASURE}")]
    Weight {
        /// The layer.
        layer: usize,
        /// Its weight.
        weight: f64,
    },
    /// Layers of which none weighs anything.
    #[error("all weights are 0; {MEASURE}")]
    NoWeight,
    /// A plan that cannot be drawn by.
    #[error(transparent)]
    Design(#[from] DesignError),
}

/// The design that draws `drawn` layers, all `pinned` ones (one flag for each layer) and others by their weights.
///
/// # Errors
/// Numbers that do not fit each other.
pub fn plan(pinned: &[bool], drawn: u32, weights: Weights) -> Result<Design, PlanError> {
    let layers = pinned.len();
    if drawn == 0 || drawn as usize > layers {
        return Err(PlanError::Drawn { drawn, layers });
    }
    let open: Vec<usize> = (0..layers).filter(|&i| !pinned[i]).collect();
    let fixed = layers - open.len();
    let left = match (drawn as usize).checked_sub(fixed) {
        Some(left) if left > 0 || open.is_empty() => left,
        _ => return Err(PlanError::Pinned { pinned: fixed, drawn }),
    };
    let mut inclusion = vec![UNIT; layers];
    // With as many draws as layers, all are certain.
    if left < open.len() {
        let even = left as f64 / open.len() as f64;
        let (shares, floor) = match weights {
            Weights::Uniform => (vec![1.0; open.len()], even),
            Weights::Given { weights, floor } => (shares(weights, layers, &open)?, floor),
        };
        if !(floor > 0.0 && floor <= even) {
            return Err(PlanError::Floor { floor, most: even, left, open: open.len() });
        }
        let wanted = fill(&shares, left as f64, floor, NEAR.max(even));
        let least = ((floor * UNIT as f64).ceil() as u64).min(left as u64 * UNIT / open.len() as u64).max(1);
        for (&layer, units) in open.iter().zip(round(&wanted, left as u64 * UNIT, least)) {
            inclusion[layer] = units;
        }
    }
    Ok(Design::new(inclusion, drawn)?)
}

/// Weights of the open layers, the greatest 1.
fn shares(weights: &[f64], layers: usize, open: &[usize]) -> Result<Vec<f64>, PlanError> {
    if weights.len() != layers {
        return Err(PlanError::WeightCount { weights: weights.len(), layers });
    }
    if let Some((layer, &weight)) = weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
        return Err(PlanError::Weight { layer, weight });
    }
    let most = open.iter().map(|&i| weights[i]).fold(0.0, f64::max);
    if most == 0.0 {
        return Err(PlanError::NoWeight);
    }
    Ok(open.iter().map(|&i| (weights[i] / most).max(LEAST)).collect())
}

/// `clamp(c share, floor, cap)` for the c at which they add up to `sum`, which is between the floors' and the caps' sums.
fn fill(shares: &[f64], sum: f64, floor: f64, cap: f64) -> Vec<f64> {
    let at = |c: f64| shares.iter().map(move |s| (c * s).clamp(floor, cap));
    let (mut low, mut high) = (0.0, cap / LEAST);
    // More halvings than a float has bits.
    for _ in 0..128 {
        let middle = (low + high) / 2.0;
        if at(middle).sum::<f64>() < sum { low = middle } else { high = middle }
    }
    at(high).collect()
}

/// Whole units that add up to `sum`, none below `least`: rounded down, and what is left over goes to the largest
/// remainders, or comes from the likeliest layers.
fn round(wanted: &[f64], sum: u64, least: u64) -> Vec<u64> {
    let exact = |i: usize| wanted[i] * UNIT as f64;
    let mut units: Vec<u64> = (0..wanted.len()).map(|i| (exact(i) as u64).clamp(least, UNIT - 1)).collect();
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| exact(b).fract().total_cmp(&exact(a).fract()).then(a.cmp(&b)));
    let mut lacking = sum as i128 - units.iter().map(|u| i128::from(*u)).sum::<i128>();
    for &i in order.iter().cycle() {
        match lacking {
            0 => break,
            1.. if units[i] < UNIT - 1 => (units[i], lacking) = (units[i] + 1, lacking - 1),
            ..0 if units[i] > least => (units[i], lacking) = (units[i] - 1, lacking + 1),
            _ => {}
        }
    }
    units
}

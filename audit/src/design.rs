//! Sampford's design: K layers without replacement, each with exactly the inclusion probability that the policy states.
//!
//! M. R. Sampford, On sampling without replacement with unequal probabilities of selection, Biometrika 54, 1967: among
//! unpinned layers with probabilities p_i that add up to k, a set s of k has a probability in proportion to
//!
//! ```text
//! sum_{i in s} p_i  prod_{j in s, j != i} p_j / (1 - p_j)
//! ```
//!
//! and layer i is then in the set with probability p_i, to the unit. Systematic sampling has the same inclusion
//! probabilities with one random number, but in a fixed order most sets, and many pairs, never occur: two wrong layers
//! that are never drawn together are caught no more often than the sum says, three that are always drawn together no more
//! often than one. Here every set of k occurs, and the worst set of m wrong layers is known: the m least likely ones.

use std::collections::BTreeSet;

/// Inclusion probabilities are integers over 2^32.
pub const UNIT: u64 = 1 << 32;

/// Most layers of a design: what it detects takes time in proportion to their number times that of drawn ones.
pub const MAX_LAYERS: usize = 1 << 13;

/// Most numbers that a draw may be expected to take.
const WORK: f64 = (1u64 << 24) as f64;

/// Why inclusion probabilities allow no draw.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DesignError {
    /// Outside (0, 1].
    #[error(
        "layer {layer} has the inclusion probability {inclusion} / 2^32, outside 1..=2^32; a layer that is never drawn is \
         where a provider cheats: give it a probability"
    )]
    Outside {
        /// Index of the layer.
        layer: usize,
        /// Its probability, over 2^32.
        inclusion: u64,
    },
    /// Not a whole number of layers.
    #[error(
        "the inclusion probabilities add up to {sum} / 2^32, not to the {drawn} layers drawn; make the policy again with \
         `nanozk audit plan`"
    )]
    Sum {
        /// Sum of all, over 2^32.
        sum: u128,
        /// Layers drawn.
        drawn: u32,
    },
    /// More layers than a design may have.
    #[error("{0} layers, more than {MAX_LAYERS}; audit a model of fewer layers")]
    Many(usize),
    /// So near 0 and 1 that drawing takes too long.
    #[error(
        "a draw by these inclusion probabilities takes too long, they are too near to 1; draw fewer layers, pin those near \
         1, or raise the floor"
    )]
    Slow,
}

/// How K layers are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    inclusion: Vec<u64>,
    drawn: u32,
    /// Layers that are not always drawn, ascending.
    pub(crate) open: Vec<usize>,
}

impl Design {
    /// The design that draws `drawn` layers, layer i with probability `inclusion[i] / 2^32`.
    ///
    /// # Errors
    /// A probability outside (0, 1], a sum other than `drawn`, or a draw that takes too long.
    pub fn new(inclusion: Vec<u64>, drawn: u32) -> Result<Self, DesignError> {
        if inclusion.len() > MAX_LAYERS {
            return Err(DesignError::Many(inclusion.len()));
        }
        if let Some((layer, &inclusion)) = inclusion.iter().enumerate().find(|(_, p)| !(1..=UNIT).contains(*p)) {
            return Err(DesignError::Outside { layer, inclusion });
        }
        let sum: u128 = inclusion.iter().map(|p| u128::from(*p)).sum();
        if sum != u128::from(drawn) * u128::from(UNIT) || inclusion.is_empty() {
            return Err(DesignError::Sum { sum, drawn });
        }
        let open = (0..inclusion.len()).filter(|&i| inclusion[i] < UNIT).collect();
        let design = Design { inclusion, drawn, open };
        // An acceptance that is 0 in floating point is too small as well.
        if design.acceptance() < design.open.len() as f64 / WORK {
            return Err(DesignError::Slow);
        }
        Ok(design)
    }

    /// Inclusion probabilities by layer, over 2^32.
    pub fn inclusion(&self) -> &[u64] {
        &self.inclusion
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.inclusion.len()
    }

    /// Number of layers drawn, pinned ones among them.
    pub fn drawn(&self) -> u32 {
        self.drawn
    }

    /// Number of layers drawn among those that are not pinned.
    pub(crate) fn left(&self) -> usize {
        self.drawn as usize - (self.layers() - self.open.len())
    }

    /// Inclusion probability of a layer.
    pub fn probability(&self, layer: usize) -> f64 {
        self.inclusion[layer] as f64 / UNIT as f64
    }

    /// Probability that one round of [`Design::draw`] ends it.
    fn acceptance(&self) -> f64 {
        if self.open.is_empty() { 1.0 } else { self.weigh(&BTreeSet::new()) / self.left() as f64 }
    }

    /// Sum over all sets of `left` open layers outside `without` of `sum_{i in s} p_i (1 - p_i) prod_{j in s, j != i} p_j
    /// prod_{j not in s} (1 - p_j)`: Sampford's weights, times what all sets share. By layers, over the number taken and
    /// whether i is among them; all terms are positive, so nothing cancels.
    fn weigh(&self, without: &BTreeSet<usize>) -> f64 {
        let left = self.left();
        // By number of layers taken: without the first, and with it.
        let mut sums = vec![[0f64; 2]; left + 1];
        sums[0][0] = 1.0;
        for &layer in &self.open {
            let p = self.probability(layer);
            let taken = if without.contains(&layer) { 0.0 } else { p };
            for count in (0..=left).rev() {
                let [mut none, mut first] = sums[count].map(|s| s * (1.0 - p));
                if count > 0 {
                    let [n, f] = sums[count - 1];
                    none += n * taken;
                    first += f * taken + n * taken * (1.0 - p);
                }
                sums[count] = [none, first];
            }
        }
        sums[left][1]
    }

    /// Probability that none of the layers `wrong` is drawn.
    pub fn miss(&self, wrong: &[usize]) -> f64 {
        let wrong: BTreeSet<usize> = wrong.iter().copied().collect();
        if wrong.iter().any(|&i| self.inclusion.get(i) == Some(&UNIT)) {
            return 0.0;
        }
        if self.open.is_empty() { 1.0 } else { self.weigh(&wrong) / self.weigh(&BTreeSet::new()) }
    }

    /// The least probability of all layers to be drawn: that of catching one wrong layer, wherever it is.
    pub fn least(&self) -> f64 {
        (0..self.layers()).map(|i| self.probability(i)).fold(1.0, f64::min)
    }

    /// The least probability, over all sets of `count` wrong layers, that one of them is drawn.
    ///
    /// The worst set is the `count` least likely layers: let p_a <= p_b, b wrong and a not. Among the sets that miss,
    /// each with a holds the rest t and weighs `l_a (D + 1 - p_a) = l_a D + p_a` times what t does, for l = p / (1 - p) and D
    /// the sum of 1 - p over t. With b in place of a it weighs `l_b D + p_b`, no less. So the exchange of b for a
    /// among the wrong layers makes a miss no less likely.
    pub fn least_of(&self, count: usize) -> f64 {
        let mut layers: Vec<usize> = (0..self.layers()).collect();
        layers.sort_by_key(|&i| self.inclusion[i]);
        layers.truncate(count);
        1.0 - self.miss(&layers)
    }
}

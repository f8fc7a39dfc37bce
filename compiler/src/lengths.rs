//! Lengths that no circuit takes, found before anything of that length is made.
//!
//! A model of attention grows with the square of its tokens, and so do the constants that its file computes from their
//! number. So the model is first read at two short lengths, and what its largest layer looks up there tells what it looks up
//! at any: `a L^2 + b L`.

use crate::config::{Config, Quantise};
use crate::error::CompileError;
use crate::frontend::{File, LoadOptions};
use crate::partition::partition;
use crate::quantise::{self, Stats};
use crate::widths::GREATEST_LIMB_BITS;
use nanozk_plan::check::{MAX_CELLS, MAX_ITEMS};
use std::path::Path;

/// Lengths up to this one are simply tried.
const SHORT: usize = 128;

/// Lengths at which the model is read first.
const PROBES: [usize; 2] = [8, 16];

/// What the largest layer of a model looks up at any length.
#[derive(Clone, Copy, Debug)]
struct Growth {
    square: f64,
    linear: f64,
    /// Whether all of a layer is one token.
    flat: bool,
}

impl Growth {
    fn lookups(&self, length: usize) -> f64 {
        let length = length as f64;
        length * (self.square * length + self.linear)
    }

    /// What circuits can hold: a cell for each, and a slot for each that all tokens share.
    fn fits(&self, length: usize) -> bool {
        let tokens = if self.flat { 1 } else { length };
        self.lookups(length) <= MAX_CELLS.min(MAX_ITEMS.saturating_mul(tokens as u64)) as f64
    }

    /// The greatest length below one that does not fit.
    fn greatest(&self, mut above: usize) -> usize {
        let mut fits = 0;
        while fits + 1 < above {
            let middle = fits + (above - fits) / 2;
            if self.fits(middle) { fits = middle } else { above = middle }
        }
        fits
    }
}

/// Refuses lengths of dynamic dimensions at which no circuit holds the model's largest layer. Says nothing of a model that
/// cannot be read at other lengths.
///
/// # Errors
/// [`CompileError::TooLong`].
pub(crate) fn check(path: &Path, load: &LoadOptions, config: &Config) -> Result<(), CompileError> {
    let long = |(name, setting): (&String, &_)| length(setting).map(|length| (name.clone(), length));
    let long: Vec<(String, usize)> = load.set.iter().filter_map(long).collect();
    let Some(asked) = long.iter().map(|(_, length)| *length).max() else { return Ok(()) };
    let at = |probe: usize| {
        let mut load = load.clone();
        load.set.extend(long.iter().map(|(name, _)| (name.clone(), probe.into())));
        load.shapes.clear();
        lookups(path, &load, config)
    };
    let [Some((few, _)), Some((more, flat))] = PROBES.map(at) else { return Ok(()) };
    let [first, second] = PROBES.map(|length| length as f64);
    let square = ((more / second - few / first) / (second - first)).max(0.0);
    let growth = Growth { square, linear: (few / first - square * first).max(0.0), flat };
    if growth.fits(asked) {
        return Ok(());
    }
    Err(CompileError::TooLong {
        names: long.into_iter().map(|(name, length)| format!("{name}={length}")).collect::<Vec<_>>().join(", "),
        lookups: growth.lookups(asked),
        greatest: growth.greatest(asked),
    })
}

/// A length that is worth the question.
fn length(setting: &crate::setting::Setting) -> Option<usize> {
    setting.length().filter(|&length| length > SHORT)
}

/// What the largest layer looks up, and whether all of it is one token.
fn lookups(path: &Path, load: &LoadOptions, config: &Config) -> Option<(f64, bool)> {
    let loaded = File::open(path).ok()?.read(load).ok()?.load().ok()?;
    let samples = [loaded.probe(&[])];
    let stats = Stats::collect(&loaded.graph, &samples).ok()?;
    let partition = partition(&loaded.graph, config.quantise.layer_lookups);
    // The fewest limbs that a model may have.
    let limb_bits = config.quantise.limb_bits.or(Some(GREATEST_LIMB_BITS));
    let widest = Quantise { limb_bits, ..config.quantise.clone() };
    let config = Config { quantise: widest, ..config.clone() };
    let model = quantise::quantise(&loaded.graph, &partition, &stats, &config).ok()?.model;
    let most = quantise::lookups(&model).into_iter().map(|shape| shape.total).max()?;
    Some((most as f64, model.tokens == 1))
}

#[cfg(test)]
mod tests {
    use super::Growth;

    #[test]
    fn the_greatest_length_fits_and_the_next_does_not() {
        for (square, linear, flat) in [(12.0, 400.0, false), (3.0, 0.0, true), (0.0, 5e4, true), (0.0, 1e9, false)] {
            let growth = Growth { square, linear, flat };
            let greatest = growth.greatest(1 << 30);
            assert!(greatest == 0 || growth.fits(greatest), "{growth:?}: {greatest}");
            assert!(!growth.fits(greatest + 1), "{growth:?}: {greatest}");
        }
    }
}

//! Head geometry of attention.

use super::{Misfit, Site};

/// Query heads, each of which reads one of the key or value heads.
pub(super) struct Heads {
    /// Tokens.
    pub tokens: usize,
    /// Query heads.
    pub query: usize,
    /// Key or value heads.
    pub kv: usize,
    /// Features per head.
    pub dim: usize,
}

impl Heads {
    /// Of attributes that may be wrong.
    pub fn new(site: &Site, query: u32, kv: u32, dim: u32) -> Self {
        Heads { tokens: site.tokens, query: query as usize, kv: kv as usize, dim: dim as usize }
    }

    /// Whether the node has these widths: its operands', and its own.
    pub fn check(&self, site: &Site, operands: [usize; 2], features: usize) -> Result<(), Misfit> {
        super::operands(site, 2)?;
        if self.dim == 0 || self.query == 0 || !self.query.is_multiple_of(self.kv) {
            return Err(Misfit::HeadGeometry);
        }
        let fits = site.widths == operands && site.features == features;
        if fits { Ok(()) } else { Err(Misfit::HeadWidths) }
    }

    /// Key or value head read by query head `h`.
    pub fn of(&self, h: usize) -> usize {
        h / (self.query / self.kv)
    }

    /// Features of head `h`.
    pub fn features(&self, h: usize) -> std::ops::Range<usize> {
        h * self.dim..(h + 1) * self.dim
    }
}

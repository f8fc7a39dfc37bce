//! Where a slot's cells stand.

use crate::{Monomial, Plan, Port, Public, SlotId, Term};

/// A slot, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// A lane's slot: lane and group.
    Lane(u32, u32),
    /// Public slot `index` of run `run`.
    Public {
        /// Index into [`Plan::publics`].
        run: u32,
        /// Slot of the run.
        index: u32,
    },
}

impl Plan {
    /// What a slot is; `None` beyond [`Plan::slots`].
    pub fn slot_kind(&self, slot: SlotId) -> Option<SlotKind> {
        let Some(mut index) = slot.checked_sub(self.lane_slots()) else {
            return Some(SlotKind::Lane(slot / self.geometry.groups, slot % self.geometry.groups));
        };
        for (run, public) in self.publics.iter().enumerate() {
            let len = self.public_len(public);
            if index < len {
                return Some(SlotKind::Public { run: run as u32, index });
            }
            index -= len;
        }
        None
    }

    /// Value of slot `index` of a run of publics at token `t`. `params` are the layer's parameters, `tensor` reads
    /// feature j of a public tensor at token t. `None` when a parameter or tensor cell is missing.
    pub fn public_value(
        &self,
        public: &Public,
        index: u32,
        t: u32,
        params: &[i64],
        tensor: impl Fn(Port, u32, u32) -> Option<i64>,
    ) -> Option<i64> {
        match public {
            Public::One => Some(1),
            Public::Param { first, .. } => params.get((first + index) as usize).copied(),
            Public::Position => Some((index == t) as i64),
            Public::OneHot { port, feature, .. } => Some((tensor(*port, t, *feature)? == index as i64) as i64),
            Public::Const { rows, features, data } => {
                let row = if *rows == 1 { 0 } else { t };
                data.get((row * features + index) as usize).copied()
            }
            Public::Tensor { port, .. } => tensor(*port, t, index),
        }
    }
}

impl Term {
    /// The slot of repetition `i`.
    pub fn at(&self, i: u32) -> SlotId {
        (self.slot as i64 + i as i64 * self.stride as i64) as SlotId
    }
}

impl Monomial {
    /// Exponents of rho and eta of repetition `i`.
    pub fn at(&self, i: u32) -> (u32, u32) {
        let step = |(first, step): (u32, i32)| (first as i64 + i as i64 * step as i64) as u32;
        (step(self.rho), step(self.eta))
    }
}

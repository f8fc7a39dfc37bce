//! Root: `x = y^2 + rem`, with rem and `2 y - rem` made of limbs.
//!
//! Uniqueness: `y^2 <= x < (y + 1)^2` holds for one y that is not negative, and y is made of limbs, so that no square wraps
//! around the field.

use super::Circuit;
use crate::emit::Emitter;
use crate::error::LayoutError;
use crate::expr::Expr;
use crate::fill::Quantity;
use crate::space::{Signature, StripGate, Where, column};
use nanozk_ir::int::ValueId;
use nanozk_ir::int::ops::{Root, Site, root};

impl Circuit for Root {
    fn emit(&self, emitter: &mut Emitter, id: ValueId, site: &Site) -> Result<Vec<Expr>, LayoutError> {
        let x = emitter.input(id, 0)?;
        let features = site.features as u32;
        emitter.limit(id, "the square of the root", 2 * self.limbs * site.limb_bits, 200)?;
        let roots = emitter.range(id, Quantity::Own(root::LIMBS), features, self.limbs, 0);
        let rest = emitter.range(id, Quantity::Own(root::REST), features, self.rest_limbs, 0);
        let gap = emitter.range(id, Quantity::Own(root::GAP), features, self.rest_limbs, 0);
        let signature = Signature {
            name: "root".into(),
            columns: ["root", "square"].map(String::from).into(),
            lookups: Vec::new(),
            gates: vec![StripGate {
                name: "square of the root",
                rows: Where::Everywhere,
                a: column(0),
                b: column(0),
                c: column(1),
            }],
            spare_raw: None,
        };
        let (strip, first) = emitter.strip(signature, features);
        let [root, square] = [0, 1].map(|column| emitter.cells(strip, column, first, features));
        emitter.fill(&root, id, Quantity::Value, 0, 0, None);
        emitter.fill(&square, id, Quantity::Own(root::SQUARE), 0, 0, None);
        for (j, limbs) in roots.iter().enumerate() {
            let x = emitter.values[x as usize][j].clone();
            emitter.define(Expr::atom(root[j]).plus(limbs, -1));
            emitter.define(x.plus(&Expr::atom(square[j]), -1).plus(&rest[j], -1));
            emitter.define(limbs.scaled(2).plus(&rest[j], -1).plus(&gap[j], -1));
        }
        Ok(root.into_iter().map(Expr::atom).collect())
    }

    fn size(&self, _: &Site) -> (u64, u64) {
        (3 + u64::from(self.limbs) + 2 * u64::from(self.rest_limbs), 0)
    }

    fn argument(&self, _: Quantity) -> &'static str {
        "root: both x - y^2 and 2 y less that are limbs"
    }
}

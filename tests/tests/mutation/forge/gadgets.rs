//! Forgeries of the ops of the registry: wrong results of one token, with helper quantities that make up for them as well
//! as they can.

use super::{Delta, Forger, Out};
use nanozk_ir::each_gadget;
use nanozk_ir::int::ops::{
    Bits, Div, FloorDiv, Gadget, MatMul, Max, Meaning, Normalise, Numbers, OneHot, Ports, Root, Site, Step, TopK, div,
    floor_div, max, normalise, root, step, top_k,
};
use nanozk_layout::Quantity;

/// A result of one token and all helper quantities.
#[derive(Clone)]
struct Forged {
    kind: &'static str,
    value: Vec<i64>,
    parts: Vec<Vec<i64>>,
}

impl Forged {
    fn of(self, kind: &'static str) -> Self {
        Forged { kind, ..self }
    }

    fn value(mut self, feature: usize, value: i64) -> Self {
        self.value[feature] = value;
        self
    }

    fn part(mut self, part: u8, feature: usize, value: i64) -> Self {
        self.parts[usize::from(part)][feature] = value;
        self
    }
}

/// What a cheater may try on an op of the registry.
trait Forge: Meaning {
    /// Wrong results, starting from the honest one.
    fn forgeries(&self, site: &Site, args: &[&[i64]], honest: Forged) -> Vec<Forged>;
}

impl Forger<'_> {
    /// All forgeries of one token of an op of the registry.
    pub(super) fn gadget(&self, id: usize, token: usize, gadget: &Gadget, out: Out) {
        let node = &self.net.model.shapes[0].nodes[id];
        let widths: Vec<usize> = (0..node.inputs.len()).map(|i| self.operand(id, i).0).collect();
        let row = |(i, &n): (usize, &usize)| &self.operand(id, i).1[token * n..(token + 1) * n];
        let args: Vec<&[i64]> = widths.iter().enumerate().map(row).collect();
        let (model, features) = (&self.net.model, node.features as usize);
        let site = Site::new(model.tokens, model.limb_bits, &model.shapes[0], node, Ports::default());
        let numbers = Numbers { weights: &[], tables: &[], params: &[], inputs: &[] };
        let value = self.net.values[id][token * features..(token + 1) * features].to_vec();
        let parts = |value: &[i64]| node.op.meaning().parts(&site, &numbers, &args, value);
        let honest = Forged { kind: "honest", parts: parts(&value), value };
        for forged in each_gadget!(gadget, gadget => gadget.forgeries(&site, &args, honest.clone())) {
            let mut values = self.net.values[id].clone();
            values[token * features..(token + 1) * features].copy_from_slice(&forged.value);
            let mut deltas: Vec<Delta> = Vec::new();
            for (index, (part, filled)) in forged.parts.iter().zip(&parts(&forged.value)).enumerate() {
                let each = part.iter().zip(filled).enumerate().filter(|(_, (a, b))| a != b);
                deltas.extend(each.map(|(f, (a, b))| (Quantity::Own(index as u8), token, f, a - b)));
            }
            let what = format!("{} {id}, token {token}: {:?}", node.op.name(), forged.value);
            self.complete(forged.kind, &what, id, &values, &deltas, out);
        }
    }
}

impl Forge for Step {
    fn forgeries(&self, site: &Site, args: &[&[i64]], honest: Forged) -> Vec<Forged> {
        let reach = 1i64 << (self.limbs * site.limb_bits);
        let mut all = Vec::new();
        for (j, &x) in args[0].iter().enumerate() {
            for bit in [1 - honest.value[j], 2, -1] {
                let forged = honest.clone().value(j, bit);
                all.push(forged.clone().of("comparison with its rest").part(step::REST, j, x - reach * (bit - 1)));
                all.push(forged.of("comparison with the honest rest"));
            }
        }
        all
    }
}

impl Forge for FloorDiv {
    fn forgeries(&self, _: &Site, args: &[&[i64]], honest: Forged) -> Vec<Forged> {
        let mut all = Vec::new();
        for (j, &x) in args[0].iter().enumerate() {
            for delta in [1, -1] {
                let quotient = honest.value[j] + delta;
                let rest = x - self.divisor * quotient;
                let forged = honest.clone().value(j, quotient);
                let with_rest = forged.clone().part(floor_div::REST, j, rest);
                all.push(forged.of("floor with the honest rest"));
                all.push(with_rest.clone().of("floor with its rest"));
                let both = with_rest.part(floor_div::GAP, j, self.divisor - 1 - rest);
                all.push(both.of("floor with its rest and gap"));
            }
        }
        all
    }
}

impl Forge for Div {
    fn forgeries(&self, _: &Site, args: &[&[i64]], honest: Forged) -> Vec<Forged> {
        let mut all = Vec::new();
        for (j, (&x, &z)) in args[0].iter().zip(args[1]).enumerate() {
            for delta in [1, -1] {
                let quotient = honest.value[j] + delta;
                let rest = x - z * quotient;
                let forged = honest.clone().value(j, quotient);
                all.push(forged.clone().of("quotient with the honest product"));
                let product = forged.part(div::PRODUCT, j, z * quotient);
                all.push(product.clone().of("quotient with the honest rest"));
                let with_rest = product.part(div::REST, j, rest);
                all.push(with_rest.clone().of("quotient with its rest"));
                all.push(with_rest.part(div::GAP, j, z - 1 - rest).of("quotient with its rest and gap"));
            }
        }
        all
    }
}

impl Forge for Root {
    fn forgeries(&self, _: &Site, args: &[&[i64]], honest: Forged) -> Vec<Forged> {
        let mut all = Vec::new();
        for (j, (&x, &true_root)) in args[0].iter().zip(&honest.value).enumerate() {
            // A gap that makes up for the rest.
            let with = |forged: Forged, root: i64, rest: i64| {
                forged.part(root::REST, j, rest).part(root::GAP, j, 2 * root - rest)
            };
            for root in [true_root + 1, true_root - 1, -1 - true_root] {
                let forged = honest.clone().value(j, root).part(root::LIMBS, j, root);
                all.push(forged.clone().of("root with the honest square"));
                all.push(with(forged.clone(), root, 0).part(root::SQUARE, j, x).of("root without its square"));
                let square = forged.part(root::SQUARE, j, root * root);
                all.push(square.clone().of("root with the honest rest"));
                all.push(with(square.clone(), root, 0).of("root of another number"));
                all.push(with(square.clone(), root, x - root * root).of("root with its rest and gap"));
                all.push(square.part(root::REST, j, x - root * root).of("root with its rest"));
            }
            all.push(honest.clone().value(j, -true_root).of("negative root"));
        }
        all
    }
}

impl Forge for OneHot {
    fn forgeries(&self, _: &Site, args: &[&[i64]], honest: Forged) -> Vec<Forged> {
        let depth = self.depth as usize;
        let mut all = Vec::new();
        for (j, &x) in args[0].iter().enumerate() {
            let with = |kind, ones: &[(i64, i64)]| {
                let mut forged = honest.clone().of(kind);
                forged.value[j * depth..(j + 1) * depth].fill(0);
                for &(i, times) in ones.iter().filter(|one| (0..depth as i64).contains(&one.0)) {
                    forged.value[j * depth + i as usize] += times;
                }
                forged
            };
            all.push(with("no index", &[]));
            for other in (0..depth as i64).filter(|i| *i != x) {
                all.push(with("another index", &[(other, 1)]));
                all.push(with("index with the first", &[(x, 1), (0, 1)]));
                all.push(with("indices whose sum it is", &[(other, 1), (x - other, 1)]));
                all.push(with("twice an index less another", &[(other, 2), (2 * other - x, -1)]));
            }
        }
        all
    }
}

impl Forge for Bits {
    fn forgeries(&self, _: &Site, args: &[&[i64]], honest: Forged) -> Vec<Forged> {
        let count = self.count as usize;
        let mut all = Vec::new();
        for at in 0..args[0].len() * count {
            let bit = honest.value[at];
            all.push(honest.clone().value(at, 1 - bit).of("another bit"));
            if at % count > 0 {
                // What one digit loses the next lower one gains twice.
                let below = honest.value[at - 1];
                all.push(honest.clone().value(at, bit - 1).value(at - 1, below + 2).of("digit of two"));
                all.push(honest.clone().value(at, bit + 1).value(at - 1, below - 2).of("negative digit"));
            }
        }
        all
    }
}

impl Forge for MatMul {
    /// Nothing beside the result is chosen; [`Forger::left_out`] leaves factors out of it.
    fn forgeries(&self, _: &Site, _: &[&[i64]], _: Forged) -> Vec<Forged> {
        Vec::new()
    }
}

impl Forge for Max {
    fn forgeries(&self, site: &Site, args: &[&[i64]], honest: Forged) -> Vec<Forged> {
        let width = site.widths[0] / self.groups as usize;
        let mut all = Vec::new();
        for (g, group) in args[0].chunks_exact(width).enumerate() {
            let (first, max) = (g * width, honest.value[g]);
            let winner = group.iter().position(|&x| x == max).unwrap();
            let is = |forged: Forged, value: i64| {
                let forged = forged.value(g, value);
                group.iter().enumerate().fold(forged, |f, (j, x)| f.part(max::DISTANCE, first + j, value - x))
            };
            let mark = |forged: Forged, j: usize, times: i64| forged.part(max::IS_MAX, first + j, times);
            for value in [max + 1, max - 1] {
                all.push(honest.clone().value(g, value).of("maximum with the honest distances"));
                all.push(is(honest.clone(), value).of("maximum with its distances"));
                all.push(mark(is(honest.clone(), value), winner, 0).of("maximum not attained"));
            }
            for (j, &x) in group.iter().enumerate().filter(|(j, _)| *j != winner) {
                // Either of two equal maxima may have the mark, but neither more than one.
                all.push(if x == max {
                    mark(mark(honest.clone(), winner, 2), j, -1).of("maximum marked twice")
                } else {
                    mark(mark(is(honest.clone(), x), winner, 0), j, 1).of("another's maximum")
                });
            }
        }
        all
    }
}

impl Forge for Normalise {
    fn forgeries(&self, site: &Site, args: &[&[i64]], honest: Forged) -> Vec<Forged> {
        let (n, unit) = (args[0].len(), 1i64 << site.limb_bits);
        let exponents = (self.limbs * site.limb_bits) as usize;
        let mut all = Vec::new();
        for (j, &x) in args[0].iter().enumerate() {
            let (mantissa, exponent) = (honest.value[j], honest.value[n + j] as usize);
            // Cells for any power and mantissa that multiply to their product.
            let with = |power: i64, mantissa: i64| {
                let product = power * (unit + mantissa);
                let rest = x * unit - product;
                let forged = honest.clone().value(j, mantissa);
                let forged = forged.part(normalise::POWER, j, power).part(normalise::SIGNIFICAND, j, unit + mantissa);
                let forged = forged.part(normalise::PRODUCT, j, product).part(normalise::REST, j, rest);
                forged.part(normalise::GAP, j, power - 1 - rest)
            };
            let bits = |mut forged: Forged, ones: &[usize]| {
                for e in 0..exponents {
                    forged = forged.part(normalise::BITS, j * exponents + e, i64::from(ones.contains(&e)));
                }
                forged.value(n + j, ones.iter().map(|&e| e as i64).sum())
            };
            let fit = |power: i64| (x * unit).div_euclid(power) - unit;
            for e in [exponent + 1, exponent.wrapping_sub(1)].into_iter().filter(|e| *e < exponents) {
                all.push(bits(with(1 << e, fit(1 << e)), &[e]).of("another exponent"));
            }
            let power = 1i64 << exponent;
            for m in [mantissa + 1, mantissa - 1] {
                all.push(with(power, m).of("mantissa with its rest"));
                let rest = x * unit - power * (unit + m);
                let helpers = honest.parts[usize::from(normalise::GAP)][j];
                all.push(with(power, m).part(normalise::GAP, j, helpers).of("mantissa with the honest gap"));
                let product = power * (unit + mantissa);
                let tied = with(power, m).part(normalise::PRODUCT, j, product);
                all.push(
                    tied.part(normalise::REST, j, x * unit - product)
                        .part(normalise::GAP, j, helpers)
                        .of("factor left out"),
                );
                all.push(honest.clone().value(j, m).of("mantissa of another significand"));
                all.push(
                    with(power, m)
                        .part(normalise::REST, j, rest + power)
                        .part(normalise::GAP, j, power - 1 - rest - power)
                        .of("mantissa with the honest rest"),
                );
            }
            // A power that its bits do not give, and one that two bits give.
            for other in (1..=x).filter(|p| (0..unit).contains(&fit(*p))) {
                all.push(with(other, fit(other)).of("no power of two"));
            }
            for (low, high) in (0..=exponent).flat_map(|high| (0..high).map(move |low| (low, high))) {
                let power = (1i64 << low) + (1 << high);
                if (0..unit).contains(&fit(power)) {
                    all.push(bits(with(power, fit(power)), &[low, high]).of("two exponents"));
                }
            }
        }
        all
    }
}

impl Forge for TopK {
    fn forgeries(&self, site: &Site, args: &[&[i64]], honest: Forged) -> Vec<Forged> {
        let (k, width) = (self.k as usize, site.widths[0] / self.groups as usize);
        let reach = 1i64 << (self.limbs * site.limb_bits);
        let mut all = Vec::new();
        for (g, group) in args[0].chunks_exact(width).enumerate() {
            let key = |j: usize| group[j] * width as i64 - j as i64;
            let mut order: Vec<usize> = (0..width).collect();
            order.sort_by_key(|&j| std::cmp::Reverse(key(j)));
            // Everything that follows from marks `(feature, times)` of each rank.
            let with = |kind, ranks: &[Vec<(usize, i64)>]| {
                let mut forged = honest.clone().of(kind);
                let total =
                    |rank: &[(usize, i64)], f: &dyn Fn(usize) -> i64| rank.iter().map(|&(j, n)| n * f(j)).sum::<i64>();
                let keys: Vec<i64> = ranks.iter().map(|rank| total(rank, &key)).collect();
                for (r, rank) in ranks.iter().enumerate() {
                    let at = g * k + r;
                    forged = forged.value(at, total(rank, &|j| group[j]));
                    forged = forged.value(self.groups as usize * k + at, total(rank, &|j| j as i64));
                    for j in 0..width {
                        let times = rank.iter().filter(|m| m.0 == j).map(|m| m.1).sum();
                        forged = forged.part(top_k::MARKS, at * width + j, times);
                    }
                }
                for (r, pair) in keys.windows(2).enumerate() {
                    forged = forged.part(top_k::DESCENT, g * (k - 1) + r, pair[0] - pair[1] - 1);
                }
                for j in 0..width {
                    let times: i64 = ranks.iter().flatten().filter(|m| m.0 == j).map(|m| m.1).sum();
                    forged = forged.part(top_k::REST, g * width + j, keys[k - 1] - key(j) - 1 + reach * times);
                }
                forged
            };
            let one = |j: usize| vec![(j, 1)];
            let ranks = |order: &[usize]| order.iter().take(k).map(|&j| one(j)).collect::<Vec<_>>();
            let taken = ranks(&order);
            let replaced = |r: usize, rank: Vec<(usize, i64)>| {
                let mut ranks = taken.clone();
                ranks[r] = rank;
                ranks
            };
            for r in 0..k {
                for j in (0..width).filter(|j| *j != order[r]) {
                    all.push(with("another feature", &replaced(r, one(j))));
                    all.push(with("two features", &replaced(r, vec![(order[r], 1), (j, 1)])));
                    all.push(with("twice a feature less another", &replaced(r, vec![(order[r], 2), (j, -1)])));
                }
                all.push(with("no feature", &replaced(r, Vec::new())));
                if r + 1 < width {
                    let mut swapped = order.clone();
                    swapped.swap(r, r + 1);
                    all.push(with("out of order", &ranks(&swapped)));
                    let mut skipped = order.clone();
                    skipped.remove(r);
                    let mut ranks = ranks(&skipped);
                    if ranks.len() == k {
                        all.push(with("a feature passed over", &ranks));
                        ranks[r].push((order[r], 1));
                        all.push(with("two features of one rank", &ranks));
                    }
                }
                if r + 1 < k {
                    let mut mixed = taken.clone();
                    mixed[r] = vec![(order[r], 2), (order[r + 1], -1)];
                    mixed[r + 1] = vec![(order[r + 1], 2), (order[r], -1)];
                    all.push(with("two ranks mixed", &mixed));
                }
            }
        }
        all
    }
}

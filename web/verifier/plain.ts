/** The plain columns, which the verifier evaluates itself: the weights of all equations, and the fixed columns. */

import type { Circuit } from './circuit.js';
import { element, mul, power, powersAt, series } from './field.js';
import type { Lagrange } from './lagrange.js';
import { type Challenges, type Omega, bases } from './linear.js';
import { MASK_ROWS, type Plan, laneOf, operandRows, rows, usable } from './plan.js';

/** The values of all plain columns at the point of the Lagrange polynomials. */
export function plainValues(plan: Plan, circuit: Circuit, omega: Omega, ch: Challenges, l: Lagrange): bigint[] {
  const size = rows(plan.geometry);
  const out = Array.from({ length: circuit.omegas }, (_, i) => l.column(omega.v.slice(i * size, (i + 1) * size)));
  if (circuit.hasFold) out.push(compressionValue(plan, ch, l));
  out.push(...functionalValues(plan, circuit, ch, l));
  // A and B have powers of lambda: those of B are among the first of A.
  const [start, common] = [bases(plan), operandRows(plan)];
  const head = l.powers(ch.lambda, 0, common);
  const tail = mul(power(ch.lambda, common), l.powers(ch.lambda, common, size));
  if (circuit.hasA) out.push(mul(power(ch.lambda, start.a), head + tail));
  if (circuit.hasB) out.push(element(-power(ch.lambda, start.b) * head));
  out.push(mul(omega.constant, l.values[0]!));
  return [...out, ...fixedValues(plan, l)];
}

/** `base^(T-1-t)` by token t. */
function tokenWeights(base: bigint, tokens: number): bigint[] {
  return series(1n, base, tokens).reverse();
}

/** Omega_C: `lambda^(v + g) theta^(T-1-t)` in the row of token t of group g. */
function compressionValue(plan: Plan, { lambda, theta }: Challenges, l: Lagrange): bigint {
  const { tokens, groups } = plan.geometry;
  const weights = tokenWeights(theta, tokens);
  let total = 0n;
  for (let group = groups - 1; group >= 0; group -= 1) {
    total = element(total * lambda + l.column(weights, group * tokens));
  }
  return mul(total, power(lambda, bases(plan).v));
}

/**
 * Omega_F of each lane that functionals read. An entry has a weight in every token of its slot: what these add up to is
 * the same for all entries of a kind in a group, but for a factor.
 */
function functionalValues(plan: Plan, circuit: Circuit, { lambda, eta, rho }: Challenges, l: Lagrange): bigint[] {
  const { tokens, groups } = plan.geometry;
  const start = bases(plan).b;
  const all = plan.functionals.flatMap(({ entries }) => entries);
  const ofRows = powersAt(lambda, all.map((entry) => start + entry.row));
  const ofFeatures = powersAt(rho, all.map((entry) => entry.rho));
  const slotValues = (weights: bigint[]) => {
    const known = new Map<number, bigint>();
    return (group: number): bigint => {
      const value = known.get(group) ?? l.column(weights, group * tokens);
      known.set(group, value);
      return value;
    };
  };
  const byEta = slotValues(tokenWeights(eta, tokens));
  const byLambda = slotValues(series(1n, lambda, tokens));
  const out = new Map(circuit.functionals.map((lane) => [lane, 0n]));
  for (const { byRow, entries } of plan.functionals) {
    for (const entry of entries) {
      const [lane, group] = [laneOf(plan, entry.slot), entry.slot % groups];
      const slot = byRow ? mul(ofFeatures.get(entry.rho)!, byLambda(group)) : byEta(group);
      out.set(lane, element(out.get(lane)! + ofRows.get(start + entry.row)! * slot));
    }
  }
  return [...out.values()];
}

/** The fixed columns: those of the plan, active, data, first, last, index. */
function fixedValues(plan: Plan, l: Lagrange): bigint[] {
  const g = plan.geometry;
  const [data, end] = [rows(g), usable(g)];
  const masks = l.run(end - MASK_ROWS, end);
  // Masked lookups stay active on the mask rows, which keeps their helpers random.
  const masking = new Set(plan.lookups.map((lookup) => lookup.mask));
  const ofPlan = plan.fixed.map(({ runs }, id) => {
    const inside = runs.reduce((total, { start, length, value }) => total + value * l.run(start, start + length), 0n);
    return element(masking.has(id) ? inside + masks : inside);
  });
  const all = l.run(0, data);
  return [...ofPlan, element(all + masks), all, l.values[0]!, l.values[data]!, l.index(2 ** g.limbBits)];
}

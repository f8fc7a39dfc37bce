/** The soundness budget (docs/protocol.md section 11). */

import type { Shape, VerifierKey } from './key.js';
import { bases } from './linear.js';
import { FRACTIONS_PER_HELPER, equations, rows } from './plan.js';
import { UNKNOWN_LOG_POWERS, ceremonyOf } from './srs.js';

/** log2 of the order of the scalar field. */
const FIELD_BITS = 254.857;
/** Work to compute discrete logarithms in the target field, log2. */
const CURVE_BITS = 126;
/** Point sets of the batched opening. */
const POINT_SETS = 2;
/** Zero challenges, span proof, batching of layers. */
const SINGLE = 7;

export interface Budget {
  /** `-log2` of the probability that challenges let a false statement pass. */
  statistical: number;
  /** Work to break the assumptions on curve and SRS, log2. */
  computational: number;
}

/** The degrees of one layer's challenges, whose sum over the order of the field bounds its error. */
function degrees({ plan, circuit }: Shape, logPowers: number): number {
  const g = plan.geometry;
  const powers = 2 ** Math.max(logPowers, g.k);
  const fractions = plan.lookups.length + plan.tables + 1;
  const last = ([start, step]: [number, number], count: number) => Math.max(start, start + count * step);
  const greatest = (values: number[]) => values.reduce((a, b) => Math.max(a, b), 0);
  const factored = [...plan.claims, ...plan.operands];
  const rho = greatest(factored.map((c) => last(c.monomial.rho, c.count)));
  const eta = greatest(factored.map((c) => last(c.monomial.eta, c.count)));
  const entries = greatest(plan.functionals.flatMap((f) => f.entries.map((entry) => entry.rho)));
  const right = greatest(
    plan.rightOperands.map((o) => last(o.monomial.rho, o.count) + last(o.monomial.eta, o.count)),
  );
  const advice = fractions + plan.tables + 2;
  const constraints = plan.gates.length + fractions + 3;
  return (
    g.tokens +
    (rho + plan.weightColumns + entries + right + eta + 2 * g.tokens) +
    (bases(plan).relations + equations(plan)) +
    4 * fractions * rows(g) +
    (constraints + (FRACTIONS_PER_HELPER + 1) * powers) +
    (circuit.committed + advice + 2 + 2 * POINT_SETS + powers) +
    SINGLE
  );
}

export function budget(key: VerifierKey): Budget {
  const logPowers = ceremonyOf(key.srs)?.logPowers ?? UNKNOWN_LOG_POWERS;
  const sums = key.shapes.map((shape) => degrees(shape, logPowers));
  const total = key.layers.reduce((sum, layer) => sum + sums[layer.shape]!, 0);
  return {
    statistical: FIELD_BITS - Math.log2(Math.max(1, total)),
    computational: Math.min(CURVE_BITS, (FIELD_BITS - logPowers) / 2),
  };
}

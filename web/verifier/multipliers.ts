/** The multiplier columns of accumulators: their distinct values, as exponents of challenges (docs/protocol.md section 5). */

import { type Geometry, type Plan, compressed, laneSlots, operandRows, rows } from './plan.js';

/** Exponents of lambda, of theta or eta, and of rho. */
export type Exponents = readonly [number, number, number];

/** A multiplier column: whether it compresses all lanes, and the exponents of its values in ascending order. */
export interface Multiplier {
  compression: boolean;
  exponents: Exponents[];
}

/** Exponents of lambda at which the kinds of equations start (docs/protocol.md section 4). */
export interface Bases {
  v: number;
  b: number;
  a: number;
  relations: number;
}

export function bases(plan: Plan): Bases {
  const b = 1 + (compressed(plan) ? laneSlots(plan) : 0);
  const a = b + operandRows(plan);
  return { v: 1, b, a, relations: a + rows(plan.geometry) };
}

/** The compression of all lanes where slots are compressed, then one column for each functional. */
export function multipliers(plan: Plan): Multiplier[] {
  const g = plan.geometry;
  const start = bases(plan);
  const out: Multiplier[] = [];
  if (compressed(plan)) {
    const slots = Array.from({ length: g.groups }, (_, group) => ({
      row: group * g.tokens,
      weight: [start.v + group, g.tokens - 1, 0] as const,
    }));
    out.push({ compression: true, exponents: quotients(g, slots, [0, -1, 0]) });
  }
  for (const { byRow, entries } of plan.functionals) {
    const slots = entries.map(({ slot, row, rho }) => ({
      row: (slot % g.groups) * g.tokens,
      weight: byRow ? ([start.b + row, 0, rho] as const) : ([start.b + row, g.tokens - 1, 0] as const),
    }));
    out.push({ compression: false, exponents: quotients(g, slots, byRow ? [1, 0, 0] : [0, -1, 0]) });
  }
  return out;
}

/**
 * The distinct `w[r] / w[r+1]`. Slots start at `row` with `weight`, which changes by `step` from row to row; rows of no slot
 * have the weight of the next row, and after the last row it is 1.
 */
function quotients(g: Geometry, slots: { row: number; weight: Exponents }[], step: Exponents): Exponents[] {
  const seen = new Map<string, Exponents>();
  const note = (exponents: Exponents, count: number) => {
    if (count > 0) seen.set(exponents.join(), exponents);
  };
  const steps = g.tokens - 1;
  let next: Exponents = [0, 0, 0];
  let end = rows(g);
  for (const { row, weight } of [...slots].sort((a, b) => b.row - a.row)) {
    const last = row + steps;
    note([0, 0, 0], end - last - 1);
    const ratio = weight.map((e, i) => e + steps * step[i]! - next[i]!);
    note([ratio[0]!, ratio[1]!, ratio[2]!], 1);
    note([-step[0] || 0, -step[1] || 0, -step[2] || 0], steps);
    [next, end] = [weight, row];
  }
  note([0, 0, 0], end);
  return [...seen.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
}

/** Halo2's batched opening of KZG commitments (docs/protocol.md section 15). */

import { add, element, inverse, mul, power, sub } from './field.js';
import { GENERATOR, type Point } from './group.js';
import type { Transcript } from './transcript.js';

/** A sum of multiples of points. */
export type Sum = [scalar: bigint, point: Point][];

/** A commitment with the values that the proof states, at x or at x and omega x. */
export interface Opened {
  commitment: Sum;
  values: bigint[];
}

/** `e(left, [s]_2) = e(right, [1]_2)`, both sides sums of multiples of points. */
export interface PairingEquation {
  left: Sum;
  right: Sum;
}

/** The value at x of the polynomial of degree below two that has these values at these points. */
function interpolate(points: bigint[], values: bigint[], x: bigint): bigint {
  const [p, q] = points;
  const [a, b] = values;
  if (q === undefined || b === undefined) return a!;
  const slope = mul(sub(b, a!), inverse(sub(q, p!)));
  return add(a!, mul(slope, sub(x, p!)));
}

/** Reads the opening of all columns; `undefined` where a challenge is one of the points. */
export function readOpening(opened: Opened[], points: bigint[], transcript: Transcript): PairingEquation | undefined {
  const x1 = transcript.challenge();
  const x2 = transcript.challenge();
  // Columns that are opened at x alone come first, then those that are opened at omega x too.
  const sets = [1, 2]
    .map((size) => opened.filter(({ values }) => values.length === size))
    .filter((set) => set.length > 0)
    .map((set) => {
      const at = points.slice(0, set[0]!.values.length);
      const values = at.map(() => 0n);
      const commitment: Sum = [];
      let factor = 1n;
      for (const column of set) {
        for (const [scalar, point] of column.commitment) commitment.push([mul(factor, scalar), point]);
        column.values.forEach((value, i) => {
          values[i] = element(values[i]! + factor * value);
        });
        factor = mul(factor, x1);
      }
      return { at, values, commitment };
    });
  const quotient = transcript.points(1)[0]!;
  const x3 = transcript.challenge();
  const claimed = transcript.scalars(sets.length);
  let quotientValue = 0n;
  for (let i = sets.length - 1; i >= 0; i -= 1) {
    const { at, values } = sets[i]!;
    const vanishing = at.reduce((product, point) => mul(product, sub(x3, point)), 1n);
    if (vanishing === 0n) return undefined;
    const value = mul(sub(claimed[i]!, interpolate(at, values, x3)), inverse(vanishing));
    quotientValue = add(mul(quotientValue, x2), value);
  }
  const x4 = transcript.challenge();
  const right: Sum = [];
  let value = 0n;
  let factor = 1n;
  for (const [i, { commitment }] of sets.entries()) {
    for (const [scalar, point] of commitment) right.push([mul(factor, scalar), point]);
    value = element(value + factor * claimed[i]!);
    factor = mul(factor, x4);
  }
  right.push([factor, quotient]);
  value = element(value + factor * quotientValue);
  const witness = transcript.points(1)[0]!;
  right.push([x3, witness], [sub(0n, value), GENERATOR]);
  return { left: [[1n, witness]], right };
}

/** `x^(i (n - 1))` of the pieces of a quotient, as factors of their commitments. */
export function joined(pieces: Point[], x: bigint, n: number): Sum {
  const step = power(x, n - 1);
  let factor = 1n;
  return pieces.map((piece) => {
    const term: [bigint, Point] = [factor, piece];
    factor = mul(factor, step);
    return term;
  });
}

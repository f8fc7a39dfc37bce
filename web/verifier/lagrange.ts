/** Values of columns at a point, from the Lagrange polynomials of their rows. */

import { add, element, inverse, mul, power, rootOfUnity, series, sub } from './field.js';

/** Rows that share powers of a ratio, and are reduced together. */
const BLOCK = 64;

/** The Lagrange polynomials of a domain of `2^k` rows at a point, and values of columns there. Rows that are not named hold 0. */
export class Lagrange {
  /** `l_r(x)` by row r. */
  readonly values: bigint[];
  /** `sum_{i < r} l_i(x)` by r. */
  private readonly before: bigint[];

  /**
   * `l_r(x) = (1/n) prod_j (1 + (x / omega^r)^(2^j))`: the rows r and r + n/2 share all factors but that of j = 0, in which
   * their signs differ, and what they share is the value of row r of half the domain at x^2.
   */
  constructor(k: number, x: bigint) {
    const levels = [[x, inverse(rootOfUnity(k))] as const];
    for (let j = 1; j < k; j += 1) {
      const [point, root] = levels[j - 1]!;
      levels.push([mul(point, point), mul(root, root)]);
    }
    let values = [inverse(BigInt(2 ** k))];
    for (const [point, root] of levels.reverse()) {
      const odd = series(point, root, values.length).map((factor, i) => mul(factor, values[i]!));
      const upper = odd.map((part, i) => sub(values[i]!, part));
      values = values.map((value, i) => add(value, odd[i]!)).concat(upper);
    }
    this.values = values;
    let total = 0n;
    this.before = [total];
    for (const value of values) this.before.push((total = add(total, value)));
  }

  /** The value of the column that holds these cells from row `start` on. */
  column(cells: bigint[], start = 0): bigint {
    return element(cells.reduce((total, cell, i) => total + cell * this.values[start + i]!, 0n));
  }

  /** The value of that which holds 1 in the rows from `start` on before `end`. */
  run(start: number, end: number): bigint {
    return sub(this.before[end]!, this.before[start]!);
  }

  /** Of that which holds r in row r of the leading `rows`: `sum_{i < j}` has it for all j from 1 to `rows` but r. */
  index(rows: number): bigint {
    let total = BigInt(rows) * this.before[rows]!;
    for (let row = 1; row <= rows; row += 1) total -= this.before[row]!;
    return element(total);
  }

  /** Of that which holds `ratio^(r - start)` in the rows r from `start` on before `end`. */
  powers(ratio: bigint, start: number, end: number): bigint {
    const cells = series(1n, ratio, BLOCK);
    const step = power(ratio, BLOCK);
    let total = 0n;
    for (let row = start + BLOCK * Math.floor((end - start) / BLOCK); row >= start; row -= BLOCK) {
      total = element(total * step + this.column(cells.slice(0, end - row), row));
    }
    return total;
  }
}

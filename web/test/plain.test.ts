/** The plain columns at a point, against columns that are made cell by cell. */

import { expect, test } from 'vitest';
import { buildCircuit } from '../verifier/circuit.js';
import { element, inverse, mul, power, rootOfUnity, sub } from '../verifier/field.js';
import { Lagrange } from '../verifier/lagrange.js';
import { type Challenges, bases } from '../verifier/linear.js';
import { plainValues } from '../verifier/plain.js';
import { type Plan, rows } from '../verifier/plan.js';

/** An element that follows from its number. */
function draw(at: number): bigint {
  return power(7n, 12_345_677n + 1_000_003n * BigInt(at));
}

/** The column that holds these cells, by row, at x: `sum cell omega^r (x^n - 1) / (n (x - omega^r))`. */
function valueAt(k: number, x: bigint, cells: Iterable<[number, bigint]>): bigint {
  const scale = mul(sub(power(x, 2 ** k), 1n), inverse(BigInt(2 ** k)));
  let total = 0n;
  for (const [row, cell] of cells) {
    const root = power(rootOfUnity(k), row);
    total += cell * mul(mul(root, scale), inverse(sub(x, root)));
  }
  return element(total);
}

const range = (start: number, end: number) => Array.from({ length: end - start }, (_, i) => start + i);

test.each([4, 5, 8])('columns of 2^%i rows have the values of their Lagrange polynomials', (k) => {
  const x = draw(k);
  const n = 2 ** k;
  const l = new Lagrange(k, x);
  const at = (list: number[], cell: (row: number) => bigint) => valueAt(k, x, list.map((row) => [row, cell(row)]));
  expect(l.values).toEqual(range(0, n).map((row) => at([row], () => 1n)));
  for (const [start, end] of [[0, n], [0, 0], [3, 3], [3, 9], [n - 1, n], [5, Math.min(n, 5 + 128)]] as const) {
    const list = range(start, end);
    expect(l.column(list.map(draw), start)).toBe(at(list, draw));
    expect(l.run(start, end)).toBe(at(list, () => 1n));
    expect(l.powers(draw(1), start, end)).toBe(at(list, (row) => power(draw(1), row - start)));
    expect(l.index(end)).toBe(at(range(0, end), BigInt));
  }
});

/** Four lanes, of whose slots functionals read some once, one twice, and two of one group. */
function plan(tokens: number, groups: number): Plan {
  const eta = [
    { slot: 2, row: 0, rho: 0 },
    { slot: groups + 2, row: 1, rho: 0 },
    { slot: 2, row: 5, rho: 0 },
  ];
  const values = [
    { slot: groups + 2, row: 8, rho: 3 },
    { slot: groups + 1, row: 8, rho: 0 },
    { slot: 2 * groups + 2, row: 8, rho: 17 },
  ];
  const none = { terms: [], constant: 0n };
  const monomial = { rho: [0, 0], eta: [0, 0] } as { rho: [number, number]; eta: [number, number] };
  return {
    geometry: { k: 6, limbBits: 3, tokens, groups },
    lanes: ['a', 'b', 'c', 'd'].map((name) => ({ name, boundary: undefined })),
    boundaries: [],
    fixed: [
      { name: 'tag', runs: [{ start: 0, length: 2, value: -3n }, { start: 2, length: 1, value: 1n << 40n }] },
      { name: 'mask', runs: [{ start: 1, length: 3, value: 1n }] },
      { name: 'empty', runs: [] },
    ],
    gates: [{ name: 'gate', selector: 2, a: none, b: none, c: { terms: [{ lane: 3, coef: 2n }], constant: 1n } }],
    lookups: [{ a: 3, b: undefined, tag: { fixed: true, index: 0 }, mask: 1 }],
    tables: 1,
    params: 0,
    publics: [],
    relations: [],
    claims: [],
    operands: [{ row: 0, rowStride: 1, count: 8 + tokens, monomial, terms: [{ coef: 1n, slot: 0, stride: 0 }] }],
    tiles: [],
    weightColumns: 0,
    functionals: [
      { byRow: false, entries: eta },
      { byRow: true, entries: values },
    ],
    rightOperands: [],
  };
}

test.each([
  [1, 12],
  [5, 4],
  [9, 4],
])('plain columns of slots of %i rows hold what their equations give every cell', (tokens, groups) => {
  const whole = plan(tokens, groups);
  const { k } = whole.geometry;
  const size = rows(whole.geometry);
  const [ch, x]: [Challenges, bigint] = [{ theta: draw(1), rho: draw(2), eta: draw(3), lambda: draw(4) }, draw(5)];
  const start = bases(whole);
  const v = range(10, 10 + 4 * groups).map(draw);
  const columns: Map<number, bigint>[] = [];
  const column = (list: number[], cell: (row: number) => bigint) => {
    columns.push(new Map(list.map((row) => [row, cell(row)])));
  };
  const data = range(0, size);
  const masks = range(2 ** k - 14, 2 ** k - 6);

  // Lanes of one token are columns of Omega_V each; else V is as long as its slots.
  for (let at = 0; at < v.length; at += size) {
    const part = v.slice(at, at + size);
    column(range(0, part.length), (row) => part[row]!);
  }
  if (tokens > 1) {
    column(data, (row) => {
      const [group, token] = [Math.floor(row / tokens), row % tokens];
      return mul(power(ch.lambda, start.v + group), power(ch.theta, tokens - 1 - token));
    });
  }
  for (const lane of [0, 1, 2]) {
    const cells = new Map<number, bigint>();
    for (const { byRow, entries } of whole.functionals) {
      for (const { slot, row, rho } of entries.filter((entry) => Math.floor(entry.slot / groups) === lane)) {
        for (const token of range(0, tokens)) {
          const [at, ofB] = [(slot % groups) * tokens + token, start.b + row];
          const cell = byRow
            ? mul(power(ch.lambda, ofB + token), power(ch.rho, rho))
            : mul(power(ch.lambda, ofB), power(ch.eta, tokens - 1 - token));
          cells.set(at, element((cells.get(at) ?? 0n) + cell));
        }
      }
    }
    columns.push(cells);
  }
  column(data, (row) => power(ch.lambda, start.a + row));
  column(range(0, 8 + tokens), (row) => element(-power(ch.lambda, start.b + row)));
  column([0], () => 99n);
  column([0, 1, 2], (row) => (row < 2 ? -3n : 1n << 40n));
  column([1, 2, 3, ...masks], () => 1n);
  column([], () => 1n);
  column([...data, ...masks], () => 1n);
  column(data, () => 1n);
  column([0], () => 1n);
  column([size], () => 1n);
  column(range(0, 8), BigInt);

  const circuit = buildCircuit(whole);
  const values = plainValues(whole, circuit, { v, constant: 99n }, ch, new Lagrange(k, x));
  expect(values).toEqual(columns.map((cells) => valueAt(k, x, cells)));
  expect(circuit.committed + values.length).toBe(circuit.instanceColumns);
});

/**
 * Static checks of a plan: sizes, indices, boundaries, and the rules by which no output of a product can make up for
 * another. That a plan is the one of its graph, and so leaves no cell to the prover, is what `nanozk check` shows once for
 * each verifier file.
 */

import {
  type Monomial,
  type Operand,
  type Plan,
  type Port,
  type Term,
  type Tile,
  compressed,
  laneSlots,
  operandRows,
  parts,
  publicLength,
  repeatedTerms,
  room,
  rows,
  samePort,
  slots,
  sum,
  tileEnd,
} from './plan.js';
import { Malformed } from './reader.js';
import { columnCount, formTerms } from './work.js';

/** Greatest k. */
const MAX_K = 20;
/** Greatest number of slots, of terms of all equations, and of exponents. */
const MAX_ITEMS = 2 ** 22;
const MAX_TERMS_PER_SLOT = 32;
const MAX_COLUMNS = 2 ** 12;
const MAX_FORM_TERMS = 2 ** 14;
const MAX_CELLS = 2 ** 27;

function atMost(what: string, found: number, limit: number): void {
  if (!(found <= limit)) throw new Malformed(`${what} is ${found}, at most ${limit} is allowed`);
}

function index(what: string, at: number, count: number): void {
  if (!(at >= 0 && at < count)) throw new Malformed(`${what} ${at} does not exist`);
}

/** Refuses a plan that later computations could not follow, or whose products could hide one another. */
export function checkPlan(plan: Plan): void {
  sizes(plan);
  columns(plan);
  publics(plan);
  boundaries(plan);
  linear(plan);
  distinctClaims(plan);
  productRows(plan);
}

function sizes(plan: Plan): void {
  const g = plan.geometry;
  atMost('k', g.k, MAX_K);
  atMost('the width of the range table', g.limbBits, g.k);
  const most = room(g.k);
  atMost('the number of tokens', g.tokens, most);
  atMost('the number of data rows', rows(g), most);
  atMost('the number of rows of a table', 2 ** g.limbBits, rows(g));
  for (const list of [plan.lanes, plan.fixed, plan.gates, plan.lookups, plan.functionals]) {
    atMost('a number of columns', list.length, MAX_COLUMNS);
  }
  atMost('the number of cells', columnCount(plan) * 2 ** g.k, MAX_CELLS);
  atMost('the number of terms of gates', formTerms(plan), MAX_FORM_TERMS);
  atMost('the number of tables', plan.tables, MAX_COLUMNS);
  atMost('the number of parameters', plan.params, 2 ** 20);
  atMost('the number of weight columns', plan.weightColumns, 2 ** 16);
  atMost('the number of slots', slots(plan), MAX_ITEMS);
  const terms = sum(plan.publics, (run) => publicLength(plan, run)) + repeatedTerms(plan);
  atMost('the number of terms', terms, Math.min(MAX_ITEMS, MAX_TERMS_PER_SLOT * slots(plan)));
}

function columns(plan: Plan): void {
  for (const { runs } of plan.fixed) {
    let end = 0;
    for (const { start, length } of runs) {
      if (start < end || length === 0) throw new Malformed('the runs of a fixed column are empty or overlap');
      end = start + length;
    }
    atMost('the end of a run', end, rows(plan.geometry));
  }
  const bits = (column: number) => {
    index('fixed column', column, plan.fixed.length);
    if (plan.fixed[column]!.runs.some(({ value }) => value !== 0n && value !== 1n)) {
      throw new Malformed('a selector is not 0 or 1');
    }
  };
  const lane = (at: number) => index('lane', at, plan.lanes.length);
  for (const gate of plan.gates) {
    for (const form of [gate.a, gate.b, gate.c]) form.terms.forEach((term) => lane(term.lane));
    if (gate.selector !== undefined) bits(gate.selector);
  }
  for (const { a, b, tag, mask } of plan.lookups) {
    lane(a);
    if (b !== undefined) lane(b);
    if (mask !== undefined) bits(mask);
    if (tag.fixed) {
      index('fixed column', tag.index, plan.fixed.length);
      plan.fixed[tag.index]!.runs.forEach(({ value }) => index('table', Number(value), plan.tables + 1));
    } else {
      index('table', tag.index, plan.tables + 1);
    }
  }
  for (const boundary of plan.boundaries) {
    boundary.lanes.forEach(lane);
    if (boundary.lanes.length > 0) {
      atMost('the features of a boundary', boundary.features, boundary.lanes.length * plan.geometry.groups);
    }
  }
}

/** Each reading of a public tensor stands there once, for it costs as much as the tensor. */
function publics(plan: Plan): void {
  const read = new Set<string>();
  const features = (port: Port): number => {
    // The last of several boundaries at one port counts here; `boundaries` refuses them.
    const known = plan.boundaries.filter((b) => b.lanes.length === 0 && samePort(b.port, port)).pop();
    if (known === undefined) throw new Malformed('a public slot names no public boundary');
    return known.features;
  };
  const once = (port: Port, what: string) => {
    const key = `${port.output} ${port.index} ${what}`;
    if (read.has(key)) throw new Malformed('a public tensor is read twice in the same way');
    read.add(key);
  };
  for (const run of plan.publics) {
    if (run.kind === 'param') index('parameter', run.first + run.count - 1, plan.params);
    if (run.kind === 'const') {
      const fits = run.rows === 1 || run.rows === plan.geometry.tokens;
      if (!fits || run.data.length !== run.rows * run.features) throw new Malformed('constant data of another size');
    }
    if (run.kind === 'oneHot') {
      index('feature', run.feature, features(run.port));
      once(run.port, String(run.feature));
    }
    if (run.kind === 'tensor') {
      features(run.port);
      once(run.port, 'all');
    }
  }
}

/** Every port has one boundary, and every boundary lanes of its own. */
function boundaries(plan: Plan): void {
  const key = (port: Port) => `${port.output} ${port.index}`;
  const ports = new Set<string>();
  const owners: (string | undefined)[] = plan.lanes.map(() => undefined);
  for (const { port, lanes } of plan.boundaries) {
    if (ports.has(key(port))) throw new Malformed('a port has two boundaries');
    ports.add(key(port));
    for (const lane of lanes) {
      if (owners[lane] !== undefined) throw new Malformed('two tensors share a lane');
      owners[lane] = key(port);
    }
  }
  plan.lanes.forEach((lane, i) => {
    const said = lane.boundary === undefined ? undefined : key(lane.boundary);
    if (said !== owners[i]) throw new Malformed('a lane and its boundary disagree');
  });
}

/** The value of repetition `count - 1`. */
function last(first: number, step: number, count: number): number {
  return first + (Math.max(1, count) - 1) * step;
}

function linear(plan: Plan): void {
  const all = slots(plan);
  const data = rows(plan.geometry);
  const terms = (count: number, list: Term[]) => {
    for (const term of list) {
      index('slot', term.slot, all);
      index('slot', last(term.slot, term.stride, count), all);
    }
  };
  const exponents = (count: number, { rho, eta }: Monomial) => {
    for (const [first, step] of [rho, eta]) {
      index('exponent', first, MAX_ITEMS);
      index('exponent', last(first, step, count), MAX_ITEMS);
    }
  };
  for (const relation of plan.relations) {
    terms(relation.count, relation.terms);
    if (relation.terms.length === 0) throw new Malformed('a relation has no terms');
  }
  for (const claim of plan.claims) {
    terms(claim.count, claim.terms);
    exponents(claim.count, claim.monomial);
  }
  for (const tile of plan.tiles) index('product row', Math.max(1, tileEnd(plan, tile)) - 1, data);
  for (const operand of [...plan.operands, ...plan.rightOperands]) {
    terms(operand.count, operand.terms);
    exponents(operand.count, operand.monomial);
    index('product row', last(operand.row, operand.rowStride, operand.count), data);
  }
}

function exponent([first, step]: [number, number], i: number): number {
  return first + i * step;
}

/** No two claims have one monomial, so that no output can make up for another. */
function distinctClaims(plan: Plan): void {
  const seen = new Set<number>();
  for (const { count, monomial } of plan.claims) {
    for (let i = 0; i < count; i += 1) {
      const key = exponent(monomial.rho, i) * MAX_ITEMS + exponent(monomial.eta, i);
      if (seen.has(key)) throw new Malformed('two claims have one monomial');
      seen.add(key);
    }
  }
}

interface RowTerm {
  rho: number;
  eta: number;
  slot: number;
  coef: bigint;
}

/** What operands add to each row, in one order. */
function rowTerms(plan: Plan, operands: Operand[]): RowTerm[][] {
  const out: RowTerm[][] = Array.from({ length: operandRows(plan) }, () => []);
  for (const { row, rowStride, count, monomial, terms } of operands) {
    for (let i = 0; i < count; i += 1) {
      for (const { coef, slot, stride } of terms) {
        const [rho, eta] = [exponent(monomial.rho, i), exponent(monomial.eta, i)];
        out[row + i * rowStride]!.push({ rho, eta, slot: slot + i * stride, coef });
      }
    }
  }
  for (const list of out) {
    list.sort((a, b) => a.rho - b.rho || a.eta - b.eta || a.slot - b.slot || Number(a.coef - b.coef));
  }
  return out;
}

/** Every row belongs to one product, and A carries each input of a matrix with the exponents that its columns need. */
function productRows(plan: Plan): void {
  const a = rowTerms(plan, plan.operands);
  const used = a.map(() => false);
  const take = (row: number) => {
    if (used[row] !== false) throw new Malformed(`row ${row} belongs to two products or to none`);
    used[row] = true;
  };
  const claimed = [
    ...new Set(
      plan.claims.flatMap(({ count, monomial }) => Array.from({ length: count }, (_, i) => exponent(monomial.rho, i))),
    ),
  ].sort((x, y) => x - y);
  for (const tile of plan.tiles) {
    atMost('the number of outputs of a matrix', tile.outputs, MAX_ITEMS);
    if (plan.weightColumns === 0 || tile.inputs === 0 || tile.outputs === 0) {
      throw new Malformed('a matrix without columns or entries');
    }
    spareColumns(plan, a, tile, claimed);
    const size = parts(plan, tile);
    for (let i = 0; i < tile.inputs; i += 1) {
      const first = tile.row + i * size;
      for (let part = 0; part < size; part += 1) {
        take(first + part);
        const shift = part * plan.weightColumns;
        const [base, row] = [a[first]!, a[first + part]!];
        const continues =
          base.length === row.length &&
          base.every(({ rho, eta, slot, coef }, j) => {
            const other = row[j]!;
            return other.rho === rho + shift && other.eta === eta && other.slot === slot && other.coef === coef;
          });
        if (!continues) throw new Malformed('the operand of a matrix does not continue its input');
      }
    }
  }
  functionalRows(plan, take);
  if (plan.rightOperands.length > 0 && compressed(plan)) {
    throw new Malformed('products of two compressed slots are no products of cells');
  }
  const right = new Set<number>();
  for (const { row, rowStride, count } of plan.rightOperands) {
    for (let i = 0; i < count; i += 1) right.add(row + i * rowStride);
  }
  right.forEach(take);
  if (a.some((terms, row) => terms.length > 0 && !used[row])) throw new Malformed('an operand meets no right side');
}

/** No claim has an exponent that only the spare weight columns of a matrix reach; beside a diagonal stand zeros. */
function spareColumns(plan: Plan, a: RowTerm[][], tile: Tile, claimed: number[]): void {
  const size = parts(plan, tile);
  let empty = true;
  for (let i = 0; i < tile.inputs; i += 1) {
    for (const { rho } of a[tile.row + i * size] ?? []) {
      empty = false;
      const next = claimed[firstAtLeast(claimed, rho + tile.outputs)];
      if (tile.outputs > 1 && next !== undefined && next < rho + size * plan.weightColumns) {
        throw new Malformed('a claim has the exponent of a spare weight column');
      }
    }
  }
  if (empty) throw new Malformed('a matrix has no operand');
}

function firstAtLeast(sorted: number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Entries of functionals that share rows have the same first row and other exponents. */
function functionalRows(plan: Plan, take: (row: number) => void): void {
  const { tokens } = plan.geometry;
  const shared = new Set<number>();
  const values: [number, number][] = [];
  for (const { byRow, entries } of plan.functionals) {
    for (const { slot, row, rho } of entries) {
      atMost('an exponent of a functional', rho, MAX_ITEMS);
      index('slot of a lane', slot, laneSlots(plan));
      if (!byRow) {
        take(row);
        continue;
      }
      values.push([row, rho]);
      for (let t = 0; t < tokens; t += 1) {
        if (!shared.has(row + t)) take(row + t);
        shared.add(row + t);
      }
    }
  }
  values.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  values.slice(1).forEach(([row, rho], i) => {
    const [before, other] = values[i]!;
    if (row === before && rho === other) throw new Malformed('two features of a functional share an exponent');
    if (row !== before && row - before < tokens) throw new Malformed('blocks of a functional overlap');
  });
}

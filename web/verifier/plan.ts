/** The plan of a layer shape (docs/file-formats.md): what its circuit consists of. */

import type { Reader } from './reader.js';

/** Random rows at the end of the usable part of every committed column. */
export const MASK_ROWS = 8;
/** Rows that Halo2 keeps for itself, and the one that closes the running sums. */
const RESERVED_ROWS = 7;
/** Fractions that share a helper column. */
export const FRACTIONS_PER_HELPER = 3;

export interface Geometry {
  /** Rows are `2^k`. */
  k: number;
  /** Width of the range table. */
  limbBits: number;
  /** Rows of a slot: the tokens T. */
  tokens: number;
  /** Slots of a lane. */
  groups: number;
}

export interface Port {
  output: boolean;
  index: number;
}

export interface Lane {
  name: string;
  boundary: Port | undefined;
}

export interface Boundary {
  port: Port;
  lanes: number[];
  features: number;
}

/** `value` on `length` rows from `start` on, 0 elsewhere. */
export interface Run {
  start: number;
  length: number;
  value: bigint;
}

/** `sum coef lane + constant` within one row. */
export interface RowForm {
  terms: { lane: number; coef: bigint }[];
  constant: bigint;
}

export interface Gate {
  name: string;
  selector: number | undefined;
  a: RowForm;
  b: RowForm;
  c: RowForm;
}

export interface Lookup {
  a: number;
  b: number | undefined;
  /** Number of a table, or of the fixed column that holds it. */
  tag: { fixed: boolean; index: number };
  mask: number | undefined;
}

export type Public =
  | { kind: 'one' }
  | { kind: 'param'; first: number; count: number }
  | { kind: 'position' }
  | { kind: 'oneHot'; port: Port; feature: number; count: number }
  | { kind: 'const'; rows: number; features: number; data: bigint[] }
  | { kind: 'tensor'; port: Port; features: number };

/** `coef V[slot + i stride]` for repetition i. */
export interface Term {
  coef: bigint;
  slot: number;
  stride: number;
}

/** `rho^(r0 + i dr) eta^(e0 + i de)` for repetition i. */
export interface Monomial {
  rho: [number, number];
  eta: [number, number];
}

export interface Relation {
  count: number;
  terms: Term[];
}

export interface Claim extends Relation {
  monomial: Monomial;
}

export interface Operand extends Claim {
  row: number;
  rowStride: number;
}

export interface Tile {
  weight: number;
  row: number;
  inputs: number;
  outputs: number;
}

export interface Functional {
  /** Whether each token has a row of its own; else tokens are summed with powers of eta. */
  byRow: boolean;
  entries: { slot: number; row: number; rho: number }[];
}

export interface Plan {
  geometry: Geometry;
  lanes: Lane[];
  boundaries: Boundary[];
  fixed: { name: string; runs: Run[] }[];
  gates: Gate[];
  lookups: Lookup[];
  tables: number;
  params: number;
  publics: Public[];
  relations: Relation[];
  claims: Claim[];
  operands: Operand[];
  tiles: Tile[];
  weightColumns: number;
  functionals: Functional[];
  rightOperands: Operand[];
}

function readPort(r: Reader): Port {
  return { output: r.variant(2) === 1, index: r.u32() };
}

function readForm(r: Reader): RowForm {
  const terms = r.list(() => ({ lane: r.u32(), coef: r.i64() }));
  return { terms, constant: r.i64() };
}

function readPublic(r: Reader): Public {
  switch (r.variant(6)) {
    case 0:
      return { kind: 'one' };
    case 1:
      return { kind: 'param', first: r.u32(), count: r.u32() };
    case 2:
      return { kind: 'position' };
    case 3:
      return { kind: 'oneHot', port: readPort(r), feature: r.u32(), count: r.u32() };
    case 4:
      return { kind: 'const', rows: r.u32(), features: r.u32(), data: r.list(() => r.i64()) };
    default:
      return { kind: 'tensor', port: readPort(r), features: r.u32() };
  }
}

function readTerms(r: Reader): Term[] {
  return r.list(() => ({ coef: r.i64(), slot: r.u32(), stride: r.i32() }));
}

function readMonomial(r: Reader): Monomial {
  return { rho: [r.u32(), r.i32()], eta: [r.u32(), r.i32()] };
}

function readOperand(r: Reader): Operand {
  const [row, rowStride, count] = [r.u32(), r.u32(), r.u32()];
  return { row, rowStride, count, monomial: readMonomial(r), terms: readTerms(r) };
}

/** Reads a plan; nothing is checked of it. */
export function readPlan(r: Reader): Plan {
  return {
    geometry: { k: r.u32(), limbBits: r.u32(), tokens: r.u32(), groups: r.u32() },
    lanes: r.list(() => ({ name: r.text(), boundary: r.optional(() => readPort(r)) })),
    boundaries: r.list(() => ({ port: readPort(r), lanes: r.u32s(), features: r.u32() })),
    fixed: r.list(() => ({
      name: r.text(),
      runs: r.list(() => ({ start: r.u32(), length: r.u32(), value: r.i64() })),
    })),
    gates: r.list(() => ({
      name: r.text(),
      selector: r.optional(() => r.u32()),
      a: readForm(r),
      b: readForm(r),
      c: readForm(r),
    })),
    lookups: r.list(() => ({
      a: r.u32(),
      b: r.optional(() => r.u32()),
      tag: { fixed: r.variant(2) === 1, index: r.u32() },
      mask: r.optional(() => r.u32()),
    })),
    tables: r.u32(),
    params: r.u32(),
    publics: r.list(() => readPublic(r)),
    relations: r.list(() => ({ count: r.u32(), terms: readTerms(r) })),
    claims: r.list(() => ({ count: r.u32(), monomial: readMonomial(r), terms: readTerms(r) })),
    operands: r.list(() => readOperand(r)),
    tiles: r.list(() => ({ weight: r.u32(), row: r.u32(), inputs: r.u32(), outputs: r.u32() })),
    weightColumns: r.u32(),
    functionals: r.list(() => ({
      byRow: r.variant(2) === 1,
      entries: r.list(() => ({ slot: r.u32(), row: r.u32(), rho: r.u32() })),
    })),
    rightOperands: r.list(() => readOperand(r)),
  };
}

/** Most data rows of a column of `2^k` rows. */
export function room(k: number): number {
  return Math.max(0, 2 ** k - MASK_ROWS - RESERVED_ROWS);
}

/** Rows of a column before those that Halo2 keeps for itself; the last ones are mask rows. */
export function usable(g: Geometry): number {
  return 2 ** g.k - RESERVED_ROWS + 1;
}

/** Data rows. */
export function rows(g: Geometry): number {
  return g.groups * g.tokens;
}

/** Whether slots are compressed over tokens; with one token a compressed slot is the cell itself. */
export function compressed(plan: Plan): boolean {
  return plan.geometry.tokens > 1;
}

/** Slots of lanes; the public slots follow. */
export function laneSlots(plan: Plan): number {
  return plan.lanes.length * plan.geometry.groups;
}

/** The lane that a slot is of. */
export function laneOf(plan: Plan, slot: number): number {
  return Math.floor(slot / plan.geometry.groups);
}

/** Slots of a run of publics. */
export function publicLength(plan: Plan, run: Public): number {
  switch (run.kind) {
    case 'one':
      return 1;
    case 'position':
      return plan.geometry.tokens;
    case 'param':
    case 'oneHot':
      return run.count;
    default:
      return run.features;
  }
}

export function sum<T>(items: T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

/** Lane slots and public slots. */
export function slots(plan: Plan): number {
  return laneSlots(plan) + sum(plan.publics, (run) => publicLength(plan, run));
}

/** Rows that a matrix takes for each of its inputs. */
export function parts(plan: Plan, tile: Tile): number {
  return Math.ceil(tile.outputs / Math.max(1, plan.weightColumns));
}

/** One past the last row of a matrix. */
export function tileEnd(plan: Plan, tile: Tile): number {
  return tile.row + tile.inputs * parts(plan, tile);
}

/** Rows of A and B in use. */
export function operandRows(plan: Plan): number {
  let end = 0;
  for (const operands of [plan.operands, plan.rightOperands]) {
    for (const o of operands) end = Math.max(end, o.row + o.rowStride * (Math.max(1, o.count) - 1) + 1);
  }
  for (const tile of plan.tiles) end = Math.max(end, tileEnd(plan, tile));
  return end;
}

/** Number of equations of all relations. */
export function equations(plan: Plan): number {
  return sum(plan.relations, (relation) => relation.count);
}

/** Columns that hold V: none where the lanes themselves serve. */
export function valueColumns(plan: Plan): number {
  return compressed(plan) ? Math.ceil(laneSlots(plan) / rows(plan.geometry)) : 0;
}

/** Terms of all repetitions of relations, claims and operands, a factor of its own counted as one. */
export function repeatedTerms(plan: Plan): number {
  const factored = [...plan.claims, ...plan.operands, ...plan.rightOperands];
  return sum(plan.relations, (r) => r.count * r.terms.length) + sum(factored, (c) => c.count * (1 + c.terms.length));
}

/** Lanes that functionals read, ascending. */
export function functionalLanes(plan: Plan): number[] {
  const lanes = new Set(plan.functionals.flatMap(({ entries }) => entries.map((entry) => laneOf(plan, entry.slot))));
  return [...lanes].sort((a, b) => a - b);
}

/** Lanes that gates, lookups or functionals read cell by cell, ascending; all of them when nothing is compressed. */
export function openedLanes(plan: Plan): number[] {
  if (!compressed(plan)) return plan.lanes.map((_, lane) => lane);
  const opened = new Set(functionalLanes(plan));
  for (const gate of plan.gates) {
    for (const form of [gate.a, gate.b, gate.c]) form.terms.forEach((term) => opened.add(term.lane));
  }
  for (const lookup of plan.lookups) {
    opened.add(lookup.a);
    if (lookup.b !== undefined) opened.add(lookup.b);
  }
  return [...opened].sort((a, b) => a - b);
}

export function samePort(a: Port, b: Port): boolean {
  return a.output === b.output && a.index === b.index;
}

/** What a file may cost its reader: a short file can ask for much, and is refused before it gets it. */

import { type Plan, laneSlots, publicLength, repeatedTerms, sum } from './plan.js';
import { Malformed } from './reader.js';

/** Units of about ten nanoseconds for every file, and for every byte of it. */
const BASE = 2 ** 28;
const PER_BYTE = 2 ** 11;
/** Units of a term of an equation, or of a slot, for the checks of a plan and, or of a run, for the verifier of a proof. */
const CHECKED_TERM = 16;
const VERIFIED_TERM = 4;
/** Units of a row, also of a slot for each entry of a functional that names it, for the verifier of a proof. */
const VERIFIED_ROW = 8;
/** Units of an entry of a functional, and of each of the values of a fixed column, for the verifier of a proof. */
const VERIFIED_ENTRY = 1024;

/** Columns of cells, and gates and lookups, which go through all rows as columns do. */
export function columnCount(plan: Plan): number {
  const { lanes, fixed, gates, lookups, functionals } = plan;
  return lanes.length + fixed.length + gates.length + lookups.length + functionals.length;
}

/** Lanes that the forms of all gates name. */
export function formTerms(plan: Plan): number {
  return sum(plan.gates, (gate) => gate.a.terms.length + gate.b.terms.length + gate.c.terms.length);
}

/** Slots, and terms of all repetitions of equations. */
function size(plan: Plan): number {
  const publics = sum(plan.publics, (run) =>
    run.kind === 'oneHot' ? run.count + plan.geometry.tokens : publicLength(plan, run),
  );
  return publics + repeatedTerms(plan) + laneSlots(plan);
}

function readingWork(plan: Plan): number {
  const cells = (columnCount(plan) * 2 ** plan.geometry.k) / 4;
  const queries = (columnCount(plan) + formTerms(plan) + plan.tables) ** 2 / 4;
  return cells + queries + CHECKED_TERM * size(plan);
}

function tableWork(plan: Plan): number {
  return 2 * 2 ** plan.geometry.k + 16 * 2 ** plan.geometry.limbBits;
}

/** Units of fixed columns, and of the weights of the slots that functionals read. */
function evaluationWork({ fixed, functionals, geometry }: Plan): number {
  const entries = sum(functionals, (functional) => functional.entries.length);
  const values = sum(fixed, ({ runs }) => new Set(runs.map(({ value }) => value)).size);
  const runs = sum(fixed, (column) => column.runs.length);
  return VERIFIED_ENTRY * (values + entries) + VERIFIED_ROW * geometry.tokens * entries + VERIFIED_TERM * runs;
}

function verifyingWork(plan: Plan): number {
  const columns = columnCount(plan) + formTerms(plan) + plan.tables;
  return VERIFIED_TERM * size(plan) + evaluationWork(plan) + VERIFIED_ROW * 2 ** plan.geometry.k + 64 * columns;
}

/** Refuses a file that asks for more work than one of its length may. */
export function charge(bytes: number, plans: Plan[], layers: { shape: number; tables: number }[]): void {
  const units = layers.map(({ shape, tables }) => {
    const plan = plans[shape];
    return plan === undefined ? 0 : tables * tableWork(plan) + verifyingWork(plan);
  });
  const total = sum(plans, readingWork) + sum(units, (u) => u);
  if (!(total <= BASE + PER_BYTE * bytes)) {
    throw new Malformed('it asks for more work than a file of its length may');
  }
}

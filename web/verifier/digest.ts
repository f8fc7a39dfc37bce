/**
 * The digest of a circuit's key that its transcripts begin with (docs/protocol.md section 15): Halo2 hashes the key's bytes
 * and a text that lists the domain, the columns, the queries and every constraint.
 */

import { blake2b } from '@noble/hashes/blake2.js';
import type { Circuit, Query } from './circuit.js';
import type { Expression } from './expression.js';
import { element, fromLittleEndian, rootOfUnity } from './field.js';
import { ascii, littleEndian } from './format.js';

const VERSION = 3;

function scalar(value: bigint): string {
  return `Fq(0x${value.toString(16).padStart(64, '0')})`;
}

function phase(of: number): string {
  return of === 0 ? '' : `phase: Phase(${of})`;
}

function query(q: { next: boolean }): string {
  return `Rotation(${q.next ? 1 : 0})`;
}

function print(e: Expression): string {
  switch (e.kind) {
    case 'constant':
      return `Constant(${scalar(e.value)})`;
    case 'challenge':
      return `Challenge(Challenge { index: ${e.index}, phase: Phase(0) })`;
    case 'negated':
      return `Negated(${print(e.operand)})`;
    case 'sum':
      return `Sum(${print(e.left)}, ${print(e.right)})`;
    case 'product':
      return `Product(${print(e.left)}, ${print(e.right)})`;
    default: {
      const name = e.kind[0]!.toUpperCase() + e.kind.slice(1);
      const parts = [`query_index: ${e.query}`, `column_index: ${e.column}`, `rotation: ${query(e)}`];
      if (e.phase > 0) parts.push(phase(e.phase));
      return `${name} { ${parts.join(', ')} }`;
    }
  }
}

function list(items: string[]): string {
  return `[${items.join(', ')}]`;
}

/** The text that Halo2 hashes with the key of a circuit of `2^k` rows. */
export function describe(circuit: Circuit, k: number): string {
  let extended = k;
  while (2 ** extended < 2 ** k * (circuit.degree - 1)) extended += 1;
  const domain = `PinnedEvaluationDomain { k: ${k}, extended_k: ${extended}, omega: ${scalar(rootOfUnity(k))} }`;
  const queries = (all: Query[], type: (column: number) => string) =>
    list(all.map((q) => `(Column { index: ${q.column}, column_type: ${type(q.column)} }, ${query(q)})`));
  const adviceType = (column: number) => {
    const of = circuit.phases[column]!;
    return of === 0 ? 'Advice' : `Advice { ${phase(of)} }`;
  };
  const fields = [
    'num_fixed_columns: 0',
    `num_advice_columns: ${circuit.phases.length}`,
    `num_instance_columns: ${circuit.instanceColumns}`,
    'num_selectors: 0',
    'num_challenges: 2',
    `advice_column_phase: ${list(circuit.phases.map((of) => `Phase(${of})`))}`,
    'challenge_phase: [Phase(0), Phase(0)]',
    `gates: ${list(circuit.constraints.map(print))}`,
    `advice_queries: ${queries(circuit.adviceQueries, adviceType)}`,
    `instance_queries: ${queries(circuit.instanceQueries, () => 'Instance')}`,
    'fixed_queries: []',
    'permutation: Argument { columns: [] }',
    'lookups: []',
    'trashcans: []',
    'constants: []',
    'minimum_degree: None',
  ];
  return `${domain}PinnedConstraintSystem { ${fields.join(', ')} }`;
}

/** The digest of the key of a circuit of `2^k` rows. */
export function keyDigest(circuit: Circuit, k: number): bigint {
  const hash = blake2b.create({ dkLen: 64, personalization: ascii('Halo2-Verify-Key') });
  // No columns are fixed, and none take part in a permutation.
  hash.update(Uint8Array.of(VERSION, k)).update(littleEndian(0, 4)).update(littleEndian(0, 4));
  hash.update(ascii(describe(circuit, k)));
  return element(fromLittleEndian(hash.digest()));
}

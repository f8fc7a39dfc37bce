/** Files that tests read, and payloads that they seal anew. */

import { blake2b } from '@noble/hashes/blake2.js';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Refused, type Check } from '../verifier/errors.js';
import { PROOF, VERSION, VERIFIER, ascii, littleEndian } from '../verifier/format.js';

/** Bytes of a header. */
export const HEADER = 52;

/** A path below `tests/` of the repository. */
export function testsPath(path: string): string {
  return fileURLToPath(new URL(`../../tests/${path}`, import.meta.url));
}

export function read(path: string): Uint8Array {
  return new Uint8Array(readFileSync(testsPath(path)));
}

/** A file with a header that fits its payload. */
export function seal(kind: typeof VERIFIER | typeof PROOF, payload: Uint8Array): Uint8Array {
  const hash = blake2b.create({ dkLen: 32, personalization: ascii('nanozk-file', 16) });
  const digest = hash.update(Uint8Array.of(kind)).update(littleEndian(VERSION, 4)).update(payload).digest();
  const head = [...ascii('nanozk'), kind, 0, ...littleEndian(VERSION, 4), ...littleEndian(payload.length, 8), ...digest];
  const file = new Uint8Array(HEADER + payload.length);
  file.set(head);
  file.set(payload, HEADER);
  return file;
}

export interface Outcome {
  check?: Check;
  layer?: number;
}

/** What a call ends with: the check that refuses, or nothing. Any other error is one of the verifier. */
export function outcomeOf(call: () => void): Outcome {
  try {
    call();
    return {};
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return error.layer === undefined ? { check: error.check } : { check: error.check, layer: error.layer };
  }
}

/** Part of a payload: a stretch of an honest one, by name, first byte and length, or bytes in hexadecimal digits. */
export type Piece = [name: string, start: number, length: number] | string;

export interface Case extends Outcome {
  name: string;
  verifier: Piece[];
  proof: Piece[];
  /** The challenge that the proof is to answer, as JSON. */
  challenge?: string;
}

interface Corpus {
  cases: Case[];
  flips: { outcomes: Outcome[]; flips: [at: number, bit: number, outcome: number][] };
}

/** The forged files of `tests/corpus`, and single flipped bits of its `single.proof`. */
export const { cases, flips } = JSON.parse(new TextDecoder().decode(read('corpus/cases.json'))) as Corpus;

const payloads = new Map<string, Uint8Array>();

/** The payload of an honest file of the corpus. */
export function payload(name: string): Uint8Array {
  const known = payloads.get(name) ?? read(`corpus/${name}.nanozk`).subarray(HEADER);
  payloads.set(name, known);
  return known;
}

/** The payload that consists of these pieces. */
export function assemble(pieces: Piece[]): Uint8Array {
  const parts = pieces.map((piece) => {
    if (typeof piece !== 'string') return payload(piece[0]).subarray(piece[1], piece[1] + piece[2]);
    return Uint8Array.from(piece.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
  });
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  parts.reduce((at, part) => {
    out.set(part, at);
    return at + part.length;
  }, 0);
  return out;
}

/** The container of nanozk files: a header of 52 bytes and a payload. */

import { blake2b } from '@noble/hashes/blake2.js';
import { Refused } from './errors.js';
import { Malformed, Reader } from './reader.js';

/** Version of all file formats. A file of another version is refused. */
export const VERSION = 5;

const HEADER = 52;
const MAGIC = 'nanozk';
/** Kinds of files, from 1 on. */
const KINDS = [
  'a compiled model',
  'a verifier file',
  'a proof',
  'a prover file',
  'the state of an unfinished proof',
  'a commitment',
  'a file of a run folder',
  'a job',
  'a finished job',
];

/** Kinds that are read here. */
export const VERIFIER = 2;
export const PROOF = 3;

/** `text` as ASCII, filled up with zeros to `length` bytes. */
export function ascii(text: string, length = text.length): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => text.charCodeAt(i) || 0);
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** `bytes` bytes of an integer, the lowest first. */
export function littleEndian(value: number | bigint, bytes: number): Uint8Array {
  let rest = BigInt.asUintN(8 * bytes, BigInt(value));
  return Uint8Array.from({ length: bytes }, () => {
    const byte = Number(rest & 0xffn);
    rest >>= 8n;
    return byte;
  });
}

/** The kind of file that a header names, if it names one. */
export function kindOf(file: Uint8Array): number | undefined {
  const kind = file[MAGIC.length];
  const known = kind !== undefined && kind >= 1 && kind <= KINDS.length;
  return known && equalBytes(file.subarray(0, MAGIC.length), ascii(MAGIC)) ? kind : undefined;
}

/** BLAKE2b-256 of kind, version and payload. */
function digest(kind: number, payload: Uint8Array): Uint8Array {
  const hash = blake2b.create({ dkLen: 32, personalization: ascii('nanozk-file', 16) });
  return hash.update(Uint8Array.of(kind)).update(littleEndian(VERSION, 4)).update(payload).digest();
}

/** Checks header and hash; the payload. */
function open(expected: number, file: Uint8Array): Uint8Array {
  const wanted = KINDS[expected - 1] ?? '';
  if (!equalBytes(file.subarray(0, MAGIC.length), ascii(MAGIC))) {
    throw new Refused('foreign', `this is no nanozk file, and not ${wanted}`);
  }
  if (file.length < HEADER) throw new Refused('damaged', 'the header is cut off; copy the file again');
  const header = new DataView(file.buffer, file.byteOffset, HEADER);
  const version = header.getUint32(8, true);
  const kind = kindOf(file);
  if (kind !== undefined && kind !== expected) {
    throw new Refused('wrong-kind', `this is ${KINDS[kind - 1]}, not ${wanted}`);
  }
  if (kind === undefined || version !== VERSION) {
    throw new Refused('version', `${wanted} of format ${version}, and this verifier reads format ${VERSION}`);
  }
  if (header.getUint8(7) !== 0) throw new Refused('damaged', 'the header is damaged; copy the file again');
  const payload = file.subarray(HEADER);
  if (header.getBigUint64(12, true) !== BigInt(payload.length)) {
    throw new Refused('damaged', 'the file is cut off or has bytes after its end; copy it again');
  }
  if (!equalBytes(digest(kind, payload), file.subarray(20, HEADER))) {
    throw new Refused('damaged', 'the checksum of the file differs; copy it again');
  }
  return payload;
}

/** Reads a file of this kind; every byte must be used. */
export function decode<T>(kind: number, file: Uint8Array, read: (reader: Reader) => T): T {
  const reader = new Reader(open(kind, file));
  try {
    const value = read(reader);
    reader.end();
    return value;
  } catch (error) {
    if (error instanceof Malformed) throw new Refused('unreadable', `malformed content: ${error.message}`);
    throw error;
  }
}

/** The hash of docs/protocol.md section 8: BLAKE2b-512 over parts, each with its label, and both with their lengths. */

import { blake2b } from '@noble/hashes/blake2.js';
import { element, fromLittleEndian } from './field.js';
import { ascii, littleEndian } from './format.js';

export class Absorber {
  private readonly hash = blake2b.create({ dkLen: 64 });

  constructor(domain: string) {
    this.bytes('domain', ascii(domain));
  }

  bytes(label: string, part: Uint8Array): this {
    for (const bytes of [ascii(label), part]) this.hash.update(littleEndian(bytes.length, 8)).update(bytes);
    return this;
  }

  /** An integer of four bytes. */
  u32(label: string, value: number): this {
    return this.bytes(label, littleEndian(value, 4));
  }

  /** Integers of eight bytes each. */
  integers(label: string, values: bigint[]): this {
    const bytes = new Uint8Array(8 * values.length);
    const view = new DataView(bytes.buffer);
    values.forEach((value, i) => view.setBigInt64(8 * i, value, true));
    return this.bytes(label, bytes);
  }

  /** The first 32 bytes. */
  digest(): Uint8Array {
    return this.hash.digest().subarray(0, 32);
  }

  /** All 64 bytes as an element of the field. */
  scalar(): bigint {
    return element(fromLittleEndian(this.hash.digest()));
  }
}

/** Lower-case hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Bytes of hexadecimal digits. */
export function fromHex(digits: string): Uint8Array {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

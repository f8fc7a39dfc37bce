/** Fiat-Shamir over the bytes of one layer's proof (docs/protocol.md section 8). */

import { blake2b } from '@noble/hashes/blake2.js';
import { decodeScalar, element, fromLittleEndian } from './field.js';
import { ascii, littleEndian } from './format.js';
import type { Check } from './errors.js';
import { POINT_BYTES, type Point, decompressAll } from './group.js';

const SCALAR_BYTES = 32;
const CHALLENGE = Uint8Array.of(0);
const COMMON = Uint8Array.of(1);

/** The proof ends early, or holds no point or no scalar where one is due. */
export class Unreadable extends Error {}

export class Transcript {
  /** Points read so far, with the check that fails if they are outside the subgroup. */
  readonly unchecked: { check: Check; points: Point[] }[] = [];
  /** The check that fails if the proof cannot be read on. */
  stage: Check = 'layer-malformed';
  private readonly hash = blake2b.create({ dkLen: 64, key: ascii('Domain separator for transcript') });
  private at = 0;

  constructor(private readonly proof: Uint8Array) {}

  /** Absorbs an element of the field. */
  absorb(value: bigint): void {
    this.hash.update(COMMON).update(littleEndian(value, SCALAR_BYTES));
  }

  private take(length: number): Uint8Array {
    if (length > this.proof.length - this.at) throw new Unreadable('it ends early');
    this.at += length;
    return this.proof.subarray(this.at - length, this.at);
  }

  /** Reads and absorbs points of the curve; whether they are in the subgroup is checked later, of all of them at once. */
  points(count: number): Point[] {
    const bytes = this.take(count * POINT_BYTES);
    const points = decompressAll(bytes);
    if (points === undefined) throw new Unreadable('an invalid curve point');
    this.unchecked.push({ check: this.stage, points });
    for (let i = 0; i < count; i += 1) {
      this.hash.update(COMMON).update(bytes.subarray(i * POINT_BYTES, (i + 1) * POINT_BYTES));
    }
    return points;
  }

  /** Reads and absorbs scalars. */
  scalars(count: number): bigint[] {
    return Array.from({ length: count }, () => {
      const bytes = this.take(SCALAR_BYTES);
      const value = decodeScalar(bytes);
      if (value === undefined) throw new Unreadable('an invalid scalar');
      this.hash.update(COMMON).update(bytes);
      return value;
    });
  }

  /** Draws an element of the field. */
  challenge(): bigint {
    this.hash.update(CHALLENGE);
    return element(fromLittleEndian(this.hash.clone().digest()));
  }

  /** Whether all of the proof was read. */
  get done(): boolean {
    return this.at === this.proof.length;
  }
}

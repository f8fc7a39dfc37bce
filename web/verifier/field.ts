/** The scalar field of BLS12-381, as integers below its order. */

import { bls12_381 } from '@noble/curves/bls12-381.js';

/** Order of the field, and of the groups. */
export const R = bls12_381.fields.Fr.ORDER;

/** log2 of the greatest power of 2 that divides R - 1. */
const TWO_ADICITY = 32n;

/** `value` as an element of the field. */
export function element(value: bigint): bigint {
  const rest = value % R;
  return rest < 0n ? rest + R : rest;
}

export function add(a: bigint, b: bigint): bigint {
  const sum = a + b;
  return sum >= R ? sum - R : sum;
}

export function sub(a: bigint, b: bigint): bigint {
  return a >= b ? a - b : a - b + R;
}

export function mul(a: bigint, b: bigint): bigint {
  return (a * b) % R;
}

export function neg(a: bigint): bigint {
  return a === 0n ? 0n : R - a;
}

/** The inverse of an element other than 0. */
export function inverse(a: bigint): bigint {
  return bls12_381.fields.Fr.inv(a);
}

/** `base^exponent` for an exponent of either sign. */
export function power(base: bigint, exponent: number | bigint): bigint {
  let rest = BigInt(exponent);
  let square = rest < 0n ? inverse(base) : base;
  if (rest < 0n) rest = -rest;
  let out = 1n;
  for (; rest > 0n; rest >>= 1n) {
    if (rest & 1n) out = mul(out, square);
    square = mul(square, square);
  }
  return out;
}

/** `first, first ratio, first ratio^2, ...`, `count` of them. */
export function series(first: bigint, ratio: bigint, count: number): bigint[] {
  const out: bigint[] = [];
  let value = first;
  for (let i = 0; i < count; i += 1) {
    out.push(value);
    value = mul(value, ratio);
  }
  return out;
}

/** `base^exponent` by exponent, each of which is 0 or above. */
export function powersAt(base: bigint, exponents: number[]): Map<number, bigint> {
  const out = new Map<number, bigint>();
  let [last, value] = [0, 1n];
  for (const exponent of [...new Set(exponents)].sort((a, b) => a - b)) {
    value = mul(value, power(base, exponent - last));
    last = exponent;
    out.set(exponent, value);
  }
  return out;
}

/** The inverses of elements other than 0 modulo `modulus`, at the cost of one inversion. */
export function invertAll(values: bigint[], modulus: bigint, invert: (value: bigint) => bigint): bigint[] {
  const before: bigint[] = [];
  let product = 1n;
  for (const value of values) {
    before.push(product);
    product = (product * value) % modulus;
  }
  let rest = values.length > 0 ? invert(product) : 1n;
  for (let i = values.length - 1; i >= 0; i -= 1) {
    const value = values[i]!;
    before[i] = (before[i]! * rest) % modulus;
    rest = (rest * value) % modulus;
  }
  return before;
}

/** Generator of the subgroup of order `2^k`: a power of 7. */
export function rootOfUnity(k: number): bigint {
  return power(power(7n, (R - 1n) >> TWO_ADICITY), 1n << (TWO_ADICITY - BigInt(k)));
}

/** An integer from its bytes, the lowest first. */
export function fromLittleEndian(bytes: Uint8Array): bigint {
  let digits = '0x';
  for (let i = bytes.length - 1; i >= 0; i -= 1) digits += bytes[i]!.toString(16).padStart(2, '0');
  return digits === '0x' ? 0n : BigInt(digits);
}

/** Reads the canonical encoding of an element: 32 bytes, the lowest first. */
export function decodeScalar(bytes: Uint8Array): bigint | undefined {
  const value = fromLittleEndian(bytes);
  return value < R ? value : undefined;
}

import { bls12_381 } from '@noble/curves/bls12-381.js';
import { expect, test } from 'vitest';
import { GENERATOR, type Point, Terms, decodePoints, firstOutside } from '../verifier/group.js';

const { Point: G1 } = bls12_381.G1;
const { ORDER } = bls12_381.fields.Fr;

/** Multiples of the generator. */
function multiples(count: number): { point: Point; factor: bigint }[] {
  return Array.from({ length: count }, (_, i) => {
    const factor = (0x9e3779b97f4a7c15n ** BigInt(i + 3)) % ORDER;
    return { factor, point: G1.BASE.multiply(factor).toAffine() };
  });
}

function concat(parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  parts.reduce((at, part) => {
    out.set(part, at);
    return at + part.length;
  }, 0);
  return out;
}

const { Fp } = bls12_381.fields;

/** The point of the curve with the least x from `from` on that is not in the subgroup. */
function outside(from: bigint): { x: bigint; y: bigint } {
  for (let x = from; ; x += 1n) {
    const square = x ** 3n + 4n;
    if (Fp.pow(square, (Fp.ORDER - 1n) / 2n) !== 1n) continue;
    const point = { x, y: Fp.sqrt(square) };
    if (!G1.fromAffine(point).isTorsionFree()) return point;
  }
}

/** The encoding of a point that the library refuses to encode. */
function compressed({ x, y }: { x: bigint; y: bigint }): Uint8Array {
  const bytes = Fp.toBytes(x);
  bytes[0] = bytes[0]! | 0x80 | (y > Fp.ORDER / 2n ? 0x20 : 0);
  return bytes;
}

test('sums of multiples are those of the library', () => {
  for (const count of [0, 1, 2, 3, 40, 150]) {
    const terms = new Terms();
    let expected = 0n;
    multiples(count).forEach(({ point, factor }, i) => {
      const scalar = i % 7 === 3 ? 0n : i % 5 === 1 ? ORDER - 1n : (factor * 31n + BigInt(i)) % ORDER;
      terms.add(scalar, point);
      expected = (expected + scalar * factor) % ORDER;
    });
    const sum = terms.sum();
    if (expected === 0n) expect(sum).toBeNull();
    else expect(sum).toEqual(G1.BASE.multiply(expected).toAffine());
  }
});

test('equal and opposite points add up', () => {
  const point = GENERATOR!;
  const negated = { x: point.x, y: bls12_381.fields.Fp.neg(point.y) };
  const sum = (list: [bigint, Point][]) => {
    const terms = new Terms();
    list.forEach(([scalar, p]) => terms.add(scalar, p));
    return terms.sum();
  };
  expect(sum([[1n, point], [1n, negated]])).toBeNull();
  expect(sum([[3n, point], [1n, negated], [9n, null]])).toEqual(G1.BASE.multiply(2n).toAffine());
  expect(sum([[1n, point], [1n, G1.BASE.multiply(2n).toAffine()], [ORDER - 3n, point]])).toBeNull();
});

test('points are read as the library writes them', () => {
  const points = multiples(200);
  const bytes = concat(points.map(({ factor }) => G1.BASE.multiply(factor).toBytes()));
  expect(decodePoints(bytes)).toEqual(points.map(({ point }) => point));
  expect(decodePoints(G1.ZERO.toBytes())).toEqual([null]);
  expect(decodePoints(bytes.subarray(1))).toBeUndefined();
});

test('invalid encodings are refused', () => {
  const good = G1.BASE.toBytes();
  const change = (at: number, to: number) => Uint8Array.from(good, (byte, i) => (i === at ? to : byte));
  const infinite = (at: number, to: number) => Uint8Array.from({ length: 48 }, (_, i) => (i === at ? to : i ? 0 : 0xc0));
  const beyond = new Uint8Array(48).fill(0xff);
  beyond[0] = 0x9f;
  for (const bytes of [change(0, good[0]! & 0x7f), infinite(0, 0xe0), infinite(47, 1), beyond, compressed(outside(1n))]) {
    expect(decodePoints(bytes)).toBeUndefined();
  }
});

test('one point outside the subgroup is found among many', () => {
  const points = multiples(300).map(({ point }) => point);
  expect(firstOutside(points)).toBeUndefined();
  const bad = outside(5n);
  for (const at of [0, 7, 299]) {
    const changed = points.map((point, i) => (i === at ? bad : point));
    expect(firstOutside(changed)).toBe(at);
  }
  expect(firstOutside([bad])).toBe(0);
});

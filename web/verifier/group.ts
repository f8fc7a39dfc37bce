/**
 * Points of G1: decoding, and sums of multiples. Additions are done in affine coordinates, many at a time, so that one
 * inversion serves all of them.
 */

import { bls12_381 } from '@noble/curves/bls12-381.js';
import { randomBytes } from '@noble/hashes/utils.js';
import { invertAll } from './field.js';

const Fp = bls12_381.fields.Fp;
const P = Fp.ORDER;
const HALF = (P - 1n) / 2n;
const COMPRESSED = 0x80;
const INFINITE = 0x40;
const GREATER = 0x20;

/** Bytes of a compressed point. */
export const POINT_BYTES = 48;

/** A point in affine coordinates; `null` is the identity. */
export type Point = { readonly x: bigint; readonly y: bigint } | null;

/** The generator of G1. */
export const GENERATOR: Point = bls12_381.G1.Point.BASE.toAffine();

function bigEndian(bytes: Uint8Array): bigint {
  let digits = '0x';
  for (const byte of bytes) digits += byte.toString(16).padStart(2, '0');
  return BigInt(digits);
}

/** A point of the curve from its compressed encoding; `undefined` if it is none. The subgroup is not looked at. */
function decompress(bytes: Uint8Array): Point | undefined {
  const flags = bytes[0]!;
  if (!(flags & COMPRESSED)) return undefined;
  if (flags & INFINITE) {
    return flags === (COMPRESSED | INFINITE) && bytes.subarray(1).every((byte) => byte === 0) ? null : undefined;
  }
  const body = Uint8Array.from(bytes);
  body[0] = flags & 0x1f;
  const x = bigEndian(body);
  if (x >= P) return undefined;
  const square = (((x * x) % P) * x + 4n) % P;
  let y: bigint;
  try {
    y = Fp.sqrt(square);
  } catch {
    return undefined;
  }
  // y is not 0: the curve has no point of order 2.
  if (y > HALF !== (flags & GREATER) > 0) y = P - y;
  return { x, y };
}

/** The sums of pairs of points. */
function addPairs(left: Point[], right: Point[]): Point[] {
  // The slope of each chord or tangent is a quotient; the denominators are inverted together.
  const tops: bigint[] = [];
  const bottoms: bigint[] = [];
  const out: Point[] = new Array(left.length);
  const open: number[] = [];
  for (let i = 0; i < left.length; i += 1) {
    const a = left[i]!;
    const b = right[i]!;
    if (a === null || b === null) {
      out[i] = a ?? b;
    } else if (a.x !== b.x) {
      tops.push(b.y - a.y);
      bottoms.push(b.x - a.x < 0n ? b.x - a.x + P : b.x - a.x);
      open.push(i);
    } else if (a.y === b.y) {
      tops.push(3n * a.x * a.x);
      bottoms.push((2n * a.y) % P);
      open.push(i);
    } else {
      out[i] = null;
    }
  }
  const inverses = invertAll(bottoms, P, (value) => Fp.inv(value));
  for (let j = 0; j < open.length; j += 1) {
    const i = open[j]!;
    const a = left[i]!;
    const slope = (tops[j]! * inverses[j]!) % P;
    let x = (slope * slope - a!.x - right[i]!.x) % P;
    if (x < 0n) x += P;
    let y = (slope * (a!.x - x) - a!.y) % P;
    if (y < 0n) y += P;
    out[i] = { x, y };
  }
  return out;
}

/** The sum of each list of points. */
function sumLists(lists: Point[][]): Point[] {
  let rest = lists;
  while (rest.some((list) => list.length > 1)) {
    const left: Point[] = [];
    const right: Point[] = [];
    for (const list of rest) {
      for (let i = 0; i + 1 < list.length; i += 2) {
        left.push(list[i]!);
        right.push(list[i + 1]!);
      }
    }
    const sums = addPairs(left, right);
    let at = 0;
    rest = rest.map((list) => {
      const half = sums.slice(at, at + (list.length >> 1));
      at += half.length;
      if (list.length % 2 === 1) half.push(list[list.length - 1]!);
      return half;
    });
  }
  return rest.map((list) => list[0] ?? null);
}

/** `-x` of the curve's parameter x, whose square takes points of the subgroup to what the endomorphism makes of them. */
const PARAMETER = 0xd201000000010000n;
/** A cube root of 1: `(x, y) -> (BETA x, y)` is an endomorphism. */
const BETA = Fp.pow(2n, (P - 1n) / 3n);

/** The same multiple of each point. */
function multiplyAll(points: Point[], factor: bigint): Point[] {
  let out = points;
  for (const bit of factor.toString(2).slice(1)) {
    out = addPairs(out, out);
    if (bit === '1') out = addPairs(out, points);
  }
  return out;
}

/** For each point whether it is in the subgroup of prime order: whether `-x^2 (x, y) = (BETA x, y)`, by Scott 2021. */
function torsionFree(points: Point[]): boolean[] {
  const multiples = multiplyAll(multiplyAll(points, PARAMETER), PARAMETER);
  return points.map((point, i) => {
    const multiple = multiples[i]!;
    if (point === null || multiple === null) return point === multiple;
    return multiple.x === (point.x * BETA) % P && multiple.y + point.y === P;
  });
}

/** Points whose random subsets share one table of sums, and number of random subsets. */
const TABLE = 5;
const SUBSETS = 128;

/**
 * The place of the first point outside the subgroup of prime order, if there is one. Such a point has a part outside, which
 * the sum over a random subset keeps with probability at least 1/2: so none gets past all subsets but with probability
 * 2^-128, and the random choices are made after the points.
 */
export function firstOutside(points: Point[]): number | undefined {
  if (points.length > SUBSETS && torsionFree(randomSums(points)).every(Boolean)) return undefined;
  const at = torsionFree(points).indexOf(false);
  return at < 0 ? undefined : at;
}

/** Sums over random subsets. */
function randomSums(points: Point[]): Point[] {
  const groups: Point[][] = [];
  for (let i = 0; i < points.length; i += TABLE) groups.push(points.slice(i, i + TABLE));
  // Sums of all subsets of each group: those with a point are those without it, plus the point.
  const tables: Point[][] = groups.map(() => [null]);
  for (let bit = 0; bit < TABLE; bit += 1) {
    const left = tables.flat();
    const right = groups.flatMap((group, g) => tables[g]!.map(() => group[bit] ?? null));
    const sums = addPairs(left, right);
    const size = 1 << bit;
    tables.forEach((table, g) => table.push(...sums.slice(g * size, (g + 1) * size)));
  }
  const choices = manyRandomBytes(groups.length * SUBSETS);
  const subsets = Array.from({ length: SUBSETS }, (_, s) =>
    tables.map((table, g) => table[choices[g * SUBSETS + s]! % (1 << TABLE)]!),
  );
  return sumLists(subsets);
}

/** Random bytes, in blocks as large as browsers give out. */
function manyRandomBytes(count: number): Uint8Array {
  const out = new Uint8Array(count);
  for (let at = 0; at < count; at += 65536) out.set(randomBytes(Math.min(65536, count - at)), at);
  return out;
}

/** Reads compressed points of the curve, not all of them in the subgroup; `undefined` for a partial or invalid one. */
export function decompressAll(bytes: Uint8Array): Point[] | undefined {
  if (bytes.length % POINT_BYTES !== 0) return undefined;
  const points: Point[] = [];
  for (let at = 0; at < bytes.length; at += POINT_BYTES) {
    const point = decompress(bytes.subarray(at, at + POINT_BYTES));
    if (point === undefined) return undefined;
    points.push(point);
  }
  return points;
}

/** Reads compressed points of the subgroup; `undefined` for a partial or invalid one. */
export function decodePoints(bytes: Uint8Array): Point[] | undefined {
  const points = decompressAll(bytes);
  return points && firstOutside(points) === undefined ? points : undefined;
}

/** A sum of multiples of points; multiples of one point are added up. */
export class Terms {
  private readonly index = new Map<bigint, number[]>();
  readonly points: { x: bigint; y: bigint }[] = [];
  readonly scalars: bigint[] = [];

  add(scalar: bigint, point: Point): void {
    if (point === null || scalar === 0n) return;
    const known = this.index.get(point.x) ?? [];
    const same = known.find((at) => this.points[at]!.y === point.y);
    if (same !== undefined) {
      this.scalars[same] = (this.scalars[same]! + scalar) % bls12_381.fields.Fr.ORDER;
      return;
    }
    if (known.length === 0) this.index.set(point.x, known);
    known.push(this.points.length);
    this.points.push(point);
    this.scalars.push(scalar);
  }

  /** The sum, by Pippenger's method: points go to the bucket of their digit, in every window of the scalars. */
  sum(): Point {
    const width = Math.max(2, Math.min(10, Math.floor(Math.log2(this.points.length + 1)) - 2));
    const windows = Math.ceil(256 / width);
    const half = 1 << (width - 1);
    const buckets: Point[][] = Array.from({ length: windows * half }, () => []);
    this.points.forEach((point, i) => {
      const opposite = { x: point.x, y: P - point.y };
      digits(this.scalars[i]!, width, windows).forEach((digit, window) => {
        if (digit !== 0) buckets[window * half + Math.abs(digit) - 1]!.push(digit > 0 ? point : opposite);
      });
    });
    const sums = sumLists(buckets);
    // sum_d d bucket_d is the sum of the sums from the greatest d down.
    let running: Point[] = new Array(windows).fill(null);
    let totals: Point[] = new Array(windows).fill(null);
    for (let digit = half; digit >= 1; digit -= 1) {
      running = addPairs(running, Array.from({ length: windows }, (_, w) => sums[w * half + digit - 1]!));
      totals = addPairs(totals, running);
    }
    let out = bls12_381.G1.Point.ZERO;
    for (let window = windows - 1; window >= 0; window -= 1) {
      for (let i = 0; i < width; i += 1) out = out.double();
      const total = totals[window]!;
      if (total !== null) out = out.add(bls12_381.G1.Point.fromAffine(total));
    }
    return out.is0() ? null : out.toAffine();
  }
}

/** Signed digits of a scalar, the lowest first: each in `[-2^(width-1), 2^(width-1)]`. */
function digits(scalar: bigint, width: number, windows: number): number[] {
  const out: number[] = [];
  const bits = scalar.toString(2).padStart(width * windows, '0');
  let carry = 0;
  for (let window = 0; window < windows; window += 1) {
    const end = bits.length - window * width;
    let digit = Number.parseInt(bits.slice(end - width, end), 2) + carry;
    carry = 0;
    if (digit > 1 << (width - 1)) {
      digit -= 1 << width;
      carry = 1;
    }
    out.push(digit);
  }
  return out;
}

/** `e(left, s2) = e(right, [1]_2)`. */
export function pairingHolds(left: Point, right: Point, s2: G2Point): boolean {
  const pairs = [];
  if (left !== null) pairs.push({ g1: bls12_381.G1.Point.fromAffine(left), g2: s2 });
  if (right !== null) pairs.push({ g1: bls12_381.G1.Point.fromAffine(right), g2: bls12_381.G2.Point.BASE.negate() });
  if (pairs.length === 0) return true;
  return bls12_381.fields.Fp12.eql(bls12_381.pairingBatch(pairs), bls12_381.fields.Fp12.ONE);
}

/** A point of G2. */
export type G2Point = InstanceType<typeof bls12_381.G2.Point>;

/** Reads a compressed point of G2 of the subgroup other than the identity. */
export function decodeG2(bytes: Uint8Array): G2Point | undefined {
  if (bytes.length !== 2 * POINT_BYTES) return undefined;
  try {
    const point = bls12_381.G2.Point.fromBytes(bytes);
    return point.is0() || !point.isTorsionFree() ? undefined : point;
  } catch {
    return undefined;
  }
}

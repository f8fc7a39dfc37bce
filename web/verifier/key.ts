/** The verifier file: everything that verifying takes, and the model id over all of it. */

import { checkPlan } from './check.js';
import { type Circuit, buildCircuit } from './circuit.js';
import { Refused } from './errors.js';
import { VERIFIER, decode } from './format.js';
import { type G2Point, POINT_BYTES, type Point, decodeG2, decodePoints } from './group.js';
import { Absorber, hex } from './hash.js';
import { type Plan, type Port, readPlan } from './plan.js';
import { Malformed, type Reader } from './reader.js';
import { skipTable } from './statement.js';
import { charge } from './work.js';

/** Mask rows whose commitments re-randomise a weight fold. */
export const SPAN_ROWS = 2;

const VISIBILITIES = [
  'public input',
  'private input',
  'internal',
  'public output',
  'private output',
  'noise',
] as const;
const ROWS = ['padded', 'full', 'equal'] as const;
const ELEMENT_TYPES =
  'float16 bfloat16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool'.split(' ');
/** Most axes of a value, and most elements of one that repeats those of its tensor. */
const MAX_RANK = 32;
const MAX_REPEATED = 1n << 22n;

/** A boundary tensor, `[tokens, features]`. */
export interface Tensor {
  name: string;
  features: number;
  scale: number;
  lo: bigint;
  hi: bigint;
  visibility: (typeof VISIBILITIES)[number];
  rows: (typeof ROWS)[number];
}

/** A model input or output as the source model has it, with the way to the elements of its tensor. */
export interface Endpoint {
  tensor: number;
  name: string;
  shape: bigint[];
  dtype: string;
  map: { first: bigint; strides: bigint[] } | number[];
}

/** A layer: which tensors it reads and writes, and what its shape leaves open. */
export interface Layer {
  name: string;
  shape: number;
  inputs: number[];
  outputs: number[];
  params: bigint[];
  tables: Point[];
  weights: Point[];
}

/** A layer shape. */
export interface Shape {
  plan: Plan;
  circuit: Circuit;
  spanBasis: Point[];
}

export interface VerifierKey {
  modelId: string;
  tokens: number;
  tensors: Tensor[];
  inputs: Endpoint[];
  outputs: Endpoint[];
  /** Ids that end an answer. */
  end: number[];
  /** BLAKE2b-256 of the tokenizer's file, if the model names one. */
  tokenizer: string | undefined;
  circuits: Uint8Array;
  shapes: Shape[];
  layers: Layer[];
  /** `[s]_2`, and its bytes in hexadecimal digits. */
  s2: G2Point;
  srs: string;
  /** Whether the publisher's proof is there, which `nanozk check` verifies. */
  proven: boolean;
}

export function isPublic(tensor: Tensor): boolean {
  return ['public input', 'public output', 'noise'].includes(tensor.visibility);
}

/** The tensor of noise, if answers can be drawn. */
export function noiseOf(key: { tensors: Tensor[] }): number | undefined {
  const id = key.tensors.findIndex((tensor) => tensor.visibility === 'noise');
  return id < 0 ? undefined : id;
}

/** Whether values of this type are integers or truth values. */
export function isExact(dtype: string): boolean {
  return !dtype.includes('float');
}

function readEndpoint(r: Reader): Endpoint {
  const tensor = r.u32();
  const name = r.text();
  const shape = r.list(() => r.u64());
  const dtype = ELEMENT_TYPES[r.variant(ELEMENT_TYPES.length)]!;
  const map = r.variant(2) === 0 ? { first: r.u64(), strides: r.list(() => r.i64()) } : r.u32s();
  return { tensor, name, shape, dtype, map };
}

/** Points that are read, all of which are checked together at the end. */
class Points {
  private readonly parts: Uint8Array[] = [];
  private points: Point[] = [];

  /** Notes encoded points; the result gives them once all are checked. */
  add(bytes: Uint8Array): () => Point[] {
    const start = this.parts.reduce((n, part) => n + part.length, 0) / POINT_BYTES;
    if (bytes.length % POINT_BYTES !== 0) throw new Malformed('an invalid curve point');
    this.parts.push(bytes);
    return () => this.points.slice(start, start + bytes.length / POINT_BYTES);
  }

  check(): void {
    const all = new Uint8Array(this.parts.reduce((n, part) => n + part.length, 0));
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    const points = decodePoints(all);
    if (points === undefined) throw new Malformed('an invalid curve point');
    this.points = points;
  }
}

function readKey(r: Reader, length: number, modelId: string): VerifierKey {
  const points = new Points();
  const tokens = r.u32();
  const tensors: Tensor[] = r.list(() => ({
    name: r.text(),
    features: r.u32(),
    scale: r.f64(),
    lo: r.i64(),
    hi: r.i64(),
    visibility: VISIBILITIES[r.variant(VISIBILITIES.length)]!,
    rows: ROWS[r.variant(ROWS.length)]!,
  }));
  const inputs = r.list(() => readEndpoint(r));
  const outputs = r.list(() => readEndpoint(r));
  const end = r.u32s();
  const tokenizer = r.optional(() => hex(r.raw(32)));
  const circuits = r.byteString();
  const shapeFiles = r.list(() => ({ plan: readPlan(r), spanBasis: points.add(r.byteString()) }));
  const layerFiles = r.list(() => ({
    name: r.text(),
    shape: r.u32(),
    inputs: r.u32s(),
    outputs: r.u32s(),
    params: r.list(() => r.i64()),
    tables: points.add(r.byteString()),
    weights: points.add(r.byteString()),
  }));
  const srs = r.byteString();
  const proven = r.optional(() => {
    if (r.variant(2) === 0) r.list(() => r.u32s());
    else r.u32();
    r.list(() => skipTable(r));
    points.add(r.byteString());
    r.list(() => r.byteString());
    return true;
  });
  r.end();
  const plans = shapeFiles.map((shape) => shape.plan);
  charge(length, plans, layerFiles.map(({ shape, tables }) => ({ shape, tables: tables().length })));
  plans.forEach(checkPlan);
  points.check();
  const s2 = decodeG2(srs);
  if (s2 === undefined) throw new Malformed('an invalid point of the SRS');
  const shapes: Shape[] = shapeFiles.map(({ plan, spanBasis }) => ({
    plan,
    circuit: buildCircuit(plan),
    spanBasis: spanBasis(),
  }));
  if (shapes.some((shape) => shape.spanBasis.length !== SPAN_ROWS)) {
    throw new Malformed('a shape has another number of commitments of mask rows');
  }
  const layers: Layer[] = layerFiles.map((layer) => ({ ...layer, tables: layer.tables(), weights: layer.weights() }));
  const key = { modelId, tokens, tensors, inputs, outputs, end, tokenizer, circuits, shapes, layers, s2 };
  const whole: VerifierKey = { ...key, srs: hex(srs), proven: proven === true };
  check(whole);
  return whole;
}

/** The hash over a whole verifier file. */
export function modelId(file: Uint8Array): string {
  return hex(new Absorber('nanozk model id').bytes('verifier file', file).digest());
}

/** Reads and checks a verifier file. */
export function readVerifier(file: Uint8Array): VerifierKey {
  const id = modelId(file);
  try {
    return decode(VERIFIER, file, (r) => readKey(r, file.length, id));
  } catch (error) {
    if (error instanceof Refused) throw new Refused(error.check, `verifier file: ${error.message}`);
    throw error;
  }
}

/** Everything that later indexing relies on, and that proofs of all layers lead from the inputs to the outputs. */
function check(key: VerifierKey): void {
  const tensor = (id: number) => {
    const found = key.tensors[id];
    if (found === undefined) throw new Malformed(`there is no tensor ${id}`);
    return found;
  };
  const elements = (t: Tensor) => BigInt(key.tokens) * BigInt(t.features);
  for (const input of key.inputs) {
    const spec = tensor(input.tensor);
    const equal = isPublic(spec) && spec.rows === 'equal';
    checkWhole(input, equal ? BigInt(spec.features) : elements(spec));
  }
  for (const output of key.outputs) checkInside(output, elements(tensor(output.tensor)));
  for (const { scale, lo, hi } of key.tensors) {
    if (!Number.isFinite(scale) || scale <= 0 || lo > hi) throw new Malformed('a tensor has an invalid scale or range');
  }
  for (const layer of key.layers) {
    const plan = key.shapes[layer.shape]?.plan;
    if (plan === undefined) throw new Malformed('a layer has no shape');
    [...layer.inputs, ...layer.outputs].forEach(tensor);
    const fits =
      plan.geometry.tokens === key.tokens &&
      layer.tables.length === plan.tables &&
      layer.weights.length === plan.weightColumns &&
      layer.params.length === plan.params &&
      plan.boundaries.length === layer.inputs.length + layer.outputs.length &&
      plan.boundaries.every((boundary) => {
        const id = tensorAt(layer, boundary.port);
        if (id === undefined) return false;
        const spec = tensor(id);
        const lanes = isPublic(spec) ? 0 : Math.ceil(boundary.features / plan.geometry.groups);
        return spec.features === boundary.features && boundary.lanes.length === lanes;
      });
    if (!fits) throw new Malformed('a layer does not fit its shape');
  }
  const geometries = key.shapes.map(({ plan }) => Object.values(plan.geometry).join());
  if (new Set(geometries).size > 1) throw new Malformed('two shapes have different geometries');
  const known = new Set(key.inputs.map((input) => input.tensor));
  for (const [id, tensor] of key.tensors.entries()) {
    if (tensor.visibility !== 'noise') continue;
    if (id !== noiseOf(key) || known.has(id)) throw new Malformed('more than one tensor of noise, or one that is an input');
    if (!key.layers.some((layer) => layer.inputs.includes(id))) throw new Malformed('noise that no layer reads');
    known.add(id);
  }
  for (const layer of key.layers) {
    if (!layer.inputs.every((id) => known.has(id))) throw new Malformed('a layer reads what no layer before it writes');
    for (const id of layer.outputs) {
      if (known.has(id)) throw new Malformed('a tensor gets its value twice');
      known.add(id);
    }
  }
  if (!key.outputs.every((output) => known.has(output.tensor))) throw new Malformed('no layer writes an output');
}

/** The tensor at a port of a layer. */
export function tensorAt(layer: Layer, port: Port): number | undefined {
  return (port.output ? layer.outputs : layer.inputs)[port.index];
}

/** Number of elements of a value; refuses shapes beyond all bounds. */
function count({ shape }: Endpoint): bigint {
  const product = shape.reduce((n, d) => (n < 1n << 64n ? n * d : n), 1n);
  if (product === 0n || product >= 1n << 64n || shape.length > MAX_RANK) throw new Malformed('a value of no valid shape');
  return product;
}

/** Whether the map of a value leads into a tensor of `length` elements. */
function checkInside(value: Endpoint, length: bigint): void {
  const total = count(value);
  let inside: boolean;
  if (Array.isArray(value.map)) {
    inside = BigInt(value.map.length) === total && value.map.every((i) => BigInt(i) < length);
  } else {
    const { first, strides } = value.map;
    let [least, greatest] = [first, first];
    value.shape.forEach((d, axis) => {
      const reach = (d - 1n) * (strides[axis] ?? 0n);
      if (reach < 0n) least += reach;
      else greatest += reach;
    });
    inside = strides.length === value.shape.length && least >= 0n && greatest < length;
  }
  if (!inside || total > (length > MAX_REPEATED ? length : MAX_REPEATED)) {
    throw new Malformed('a value has elements outside its tensor');
  }
}

/** Whether, beyond that, every element of the tensor is exactly one of the value. */
function checkWhole(value: Endpoint, length: bigint): void {
  checkInside(value, length);
  let once = count(value) === length;
  if (once && Array.isArray(value.map)) once = new Set(value.map).size === value.map.length;
  if (once && !Array.isArray(value.map)) {
    // Axes that fill an interval without gaps are nested: each steps over all that the smaller ones reach.
    const strides = value.map.strides.map((s) => (s < 0n ? -s : s));
    const axes = value.shape.map((d, axis) => ({ d, s: strides[axis] ?? 0n })).filter(({ d }) => d > 1n);
    axes.sort((a, b) => (a.s < b.s ? -1 : a.s > b.s ? 1 : 0));
    let step = 1n;
    for (const { d, s } of axes) {
      once &&= s === step;
      step *= d;
    }
  }
  if (!once) throw new Malformed('an input does not determine its tensor');
}

/** For each element of a value the element of its tensor that it is. */
export function elementIndices(value: Endpoint): number[] {
  if (Array.isArray(value.map)) return value.map;
  const { first, strides } = value.map;
  let out = [Number(first)];
  value.shape.forEach((d, axis) => {
    const stride = Number(strides[axis]);
    out = out.flatMap((at) => Array.from({ length: Number(d) }, (_, i) => at + stride * i));
  });
  return out;
}

/** A proof bundle: what a provider hands over with an answer. */

import { Refused } from './errors.js';
import { PROOF, VERSION, decode, littleEndian } from './format.js';
import { POINT_BYTES, type Point, decodePoints } from './group.js';
import { Absorber, hex } from './hash.js';
import { type Tensor, type VerifierKey, isPublic } from './key.js';
import { Malformed, Reader } from './reader.js';
import { readCircuits } from './statement.js';

export interface Bundle {
  modelId: string;
  nonce: string;
  /** True number of tokens. */
  length: number;
  /** Tokens of the prompt, most tokens of the answer, and temperature in thousandths, where the bundle claims one. */
  answer: { prompt: number; limit: number; temperature: number } | undefined;
  public: { tensor: number; values: bigint[] }[];
  committed: { tensor: number; lanes: Point[] }[];
  layers: { index: number; bytes: Uint8Array }[];
  /** What all layer proofs are bound to. */
  prefix: bigint;
  /** Bytes of layer proofs and commitments. */
  proofBytes: number;
}

/** Reads a proof; what it claims is checked later. */
export function readBundle(file: Uint8Array): Bundle {
  try {
    return decode(PROOF, file, (r) => {
      const modelId = r.raw(32);
      const nonce = r.byteString();
      const length = r.u32();
      const answer = r.optional(() => ({ prompt: r.u32(), limit: r.u32(), temperature: r.u32() }));
      const public_ = r.list(() => ({ tensor: r.u32(), values: r.list(() => r.i64()) }));
      const encoded = r.list(() => ({ tensor: r.u32(), lanes: r.byteString() }));
      const layers = r.list(() => ({ index: r.u32(), bytes: r.byteString() }));
      r.end();
      const committed = encoded.map(({ tensor, lanes }) => {
        const points = decodePoints(lanes);
        if (points === undefined) throw new Malformed('an invalid curve point');
        return { tensor, lanes: points };
      });
      const claim = answer ? [answer.prompt, answer.limit, answer.temperature] : [];
      const prefix = new Absorber('nanozk bundle')
        .u32('version', VERSION)
        .bytes('model id', modelId)
        .bytes('nonce', nonce)
        .u32('length', length)
        .bytes('answer', Uint8Array.from(claim.flatMap((n) => [...littleEndian(n, 4)])));
      for (const { tensor, values } of public_) prefix.u32('public tensor', tensor).integers('values', values);
      for (const { tensor, lanes } of encoded) prefix.u32('committed tensor', tensor).bytes('lanes', lanes);
      const proofBytes =
        layers.reduce((n, layer) => n + layer.bytes.length, 0) +
        committed.reduce((n, tensor) => n + tensor.lanes.length * POINT_BYTES, 0);
      return {
        modelId: hex(modelId),
        nonce: hex(nonce),
        length,
        answer,
        public: public_,
        committed,
        layers,
        prefix: prefix.scalar(),
        proofBytes,
      };
    });
  } catch (error) {
    if (error instanceof Refused) throw new Refused(error.check, `proof: ${error.message}`);
    throw error;
  }
}

/** Refuses tensors and layers other than those of the model, values out of range, and padding that is not 0. */
export function checkFits(bundle: Bundle, key: VerifierKey): void {
  const mismatch = (what: string) => new Refused('mismatch', `the proof does not fit the model: ${what}`);
  if (bundle.length === 0 || bundle.length > key.tokens) {
    throw mismatch(`length ${bundle.length} is outside 1..=${key.tokens}`);
  }
  const ids = (visible: boolean) => key.tensors.flatMap((tensor, id) => (isPublic(tensor) === visible ? [id] : []));
  const named = (list: { tensor: number }[]) => list.map(({ tensor }) => tensor).join();
  if (ids(true).join() !== named(bundle.public) || ids(false).join() !== named(bundle.committed)) {
    throw mismatch('the tensors are not those of the model');
  }
  const held = new Set(key.layers.flatMap((layer) => [...layer.inputs, ...layer.outputs]));
  if (bundle.committed.some(({ tensor, lanes }) => lanes.length > 0 && !held.has(tensor))) {
    throw mismatch('a hidden tensor is committed to, and no layer reads it');
  }
  const inputs = new Set(key.inputs.map((input) => input.tensor));
  for (const { tensor, values } of bundle.public) {
    const spec = key.tensors[tensor]!;
    // The verifier computes the noise.
    const rows = spec.visibility === 'noise' ? 0 : key.tokens;
    if (values.length !== rows * spec.features) throw mismatch(`public tensor ${spec.name} has the wrong size`);
    const outside = values.find((v) => v < spec.lo || v > spec.hi);
    if (outside !== undefined) {
      throw mismatch(`public tensor ${spec.name} holds ${outside}, outside ${spec.lo}..=${spec.hi}`);
    }
    if (inputs.has(tensor)) {
      const reason = badRows(bundle.length, key.tokens, values, spec);
      if (reason !== undefined) throw mismatch(reason);
      if (spec.rows === 'equal' && held.has(tensor) && hidesAll(values, key)) {
        throw mismatch(`public tensor ${spec.name} hides all that some token sees`);
      }
    }
  }
  bundle.layers.forEach(({ index }, i) => {
    const ascending = i === 0 || bundle.layers[i - 1]!.index < index;
    if (!ascending || index >= key.layers.length) {
      throw mismatch('the layers are not in order, repeated, or not of the model');
    }
  });
}

/** Why the rows of a public input are not what the model asks for, if they are not. */
function badRows(length: number, tokens: number, values: bigint[], { name, features, rows }: Tensor): string | undefined {
  if (rows !== 'equal' && values.slice(length * features).some((v) => v !== 0n)) return `public tensor ${name} is not 0 beyond its length`;
  if (rows === 'full' && length < tokens) {
    return `${length} of ${tokens} tokens, but every token of this model sees all of ${name}`;
  }
  if (rows === 'equal' && values.some((v, i) => v !== values[i % features])) {
    return `public tensor ${name} differs from token to token`;
  }
  return undefined;
}

/** Whether a mask leaves some token without a visible one: the first, where tokens see none that follow, or all. */
function hidesAll(mask: bigint[], key: VerifierKey): boolean {
  return mask[0] === 0n && (mask.every((visible) => visible === 0n) || isCausal(key));
}

/** Whether some attention of the model hides from each token those that follow it. */
function isCausal(key: VerifierKey): boolean {
  try {
    return readCircuits(new Reader(key.circuits)).some((nodes) => nodes.some((node) => node.causal));
  } catch (error) {
    if (error instanceof Malformed) return false;
    throw error;
  }
}

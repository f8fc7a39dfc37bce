/** Challenges: the layers that a verifier drew for one commitment (docs/audits.md, docs/file-formats.md). */

import { blake2b } from '@noble/hashes/blake2.js';
import { Refused } from './errors.js';
import { ascii, littleEndian } from './format.js';
import { fromHex, hex } from './hash.js';

const VERSION = 1;
/** Inclusion probabilities are integers over this. */
const UNIT = 2 ** 32;
/** Least and greatest length of the random value in bytes. */
const [SHORTEST, LONGEST] = [16, 1024];
/** Most words that a draw may take here. */
const MOST_WORDS = 2 ** 22;

/** A challenge whose draw was recomputed. */
export interface Challenge {
  modelId: string;
  /** Hash of the commitment: the prefix of the bundle. */
  commitment: string;
  /** The layers drawn, ascending. */
  layers: number[];
  /** Layers of the model. */
  total: number;
  /** Probability that one wrong layer is drawn: that of the least likely one. */
  caught: number;
  /** Where the randomness comes from. */
  source: string;
  /** When it was drawn, in seconds since 1970. */
  drawnAt: number;
}

interface Policy {
  modelId: string | undefined;
  drawn: number;
  inclusion: number[];
}

function refuse(what: string): Refused {
  return new Refused('challenge', `challenge: ${what}`);
}

/** The fields of an object, of which none is unknown and none missing but those that may be. */
function fields(value: unknown, needed: string[], optional: string[] = []): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse('no object where one is due');
  const found = Object.keys(value);
  const unknown = found.find((name) => !needed.includes(name) && !optional.includes(name));
  const missing = needed.find((name) => !found.includes(name));
  if (unknown !== undefined) throw refuse(`a field ${unknown}, which nobody knows`);
  if (missing !== undefined) throw refuse(`no field ${missing}`);
  return value as Record<string, unknown>;
}

function whole(value: unknown, most: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > most) throw refuse('not a number');
  return value;
}

function digits(value: unknown, least: number, most: number): string {
  const fits = typeof value === 'string' && /^([0-9a-fA-F]{2})*$/.test(value);
  if (!fits || value.length < 2 * least || value.length > 2 * most) throw refuse('not as many hexadecimal digits as it takes');
  return value.toLowerCase();
}

function readPolicy(value: unknown): Policy {
  const read = fields(value, ['version', 'drawn', 'inclusion'], ['model_id']);
  if (whole(read['version'], UNIT) !== VERSION) throw refuse('a policy of another version');
  const listed = read['inclusion'];
  if (!Array.isArray(listed) || listed.length === 0) throw refuse('no inclusion probabilities');
  const inclusion = listed.map((p) => whole(p, UNIT));
  const drawn = whole(read['drawn'], UNIT - 1);
  const sum = inclusion.reduce((total, p) => total + BigInt(p), 0n);
  if (inclusion.includes(0) || sum !== BigInt(drawn) * BigInt(UNIT)) throw refuse('probabilities that allow no draw');
  const id = read['model_id'] ?? undefined;
  return { modelId: id === undefined ? undefined : digits(id, 32, 32), drawn, inclusion };
}

function hash(personalization: string, length: number, ...parts: Uint8Array[]): Uint8Array {
  const state = blake2b.create({ dkLen: length, personalization: ascii(personalization, 16) });
  parts.forEach((part) => state.update(part));
  return state.digest();
}

function policyDigest({ modelId, drawn, inclusion }: Policy): Uint8Array {
  const id = fromHex(modelId ?? '');
  const probabilities = inclusion.map((p) => littleEndian(p, 8));
  const head = [littleEndian(VERSION, 4), littleEndian(id.length, 8), id, littleEndian(drawn, 4)];
  return hash('nanozk-policy', 32, ...head, littleEndian(inclusion.length, 8), ...probabilities);
}

/** Numbers of 64 bits that follow from a seed. */
function* words(seed: Uint8Array): Generator<bigint, never> {
  for (let counter = 0; counter < MOST_WORDS / 8; counter += 1) {
    const block = new DataView(hash('nanozk-draw', 64, seed, littleEndian(counter, 8)).buffer);
    for (let at = 0; at < 64; at += 8) yield block.getBigUint64(at, true);
  }
  throw refuse('the draw takes too long');
}

/** The layers drawn from a seed: Sampford's design, round by round. */
function draw({ drawn, inclusion }: Policy, seed: Uint8Array): number[] {
  const open = inclusion.flatMap((p, layer) => (p < UNIT ? [layer] : []));
  const left = drawn - (inclusion.length - open.length);
  const stream = words(seed);
  const next = () => stream.next().value;
  const bound = BigInt(left) * BigInt(UNIT);
  const multiples = bound === 0n ? 0n : (((1n << 64n) - 1n) / bound) * bound;
  let chosen: number[] = [];
  while (open.length > 0 && chosen.length === 0) {
    let word = next();
    while (word >= multiples) word = next();
    let rest = word % bound;
    const first = open.find((layer) => {
      const p = BigInt(inclusion[layer]!);
      if (rest < p) return true;
      rest -= p;
      return false;
    })!;
    const others = open.filter((layer) => next() >> 32n < BigInt(inclusion[layer]!));
    if (others.length + 1 === left && !others.includes(first)) chosen = [...others, first];
  }
  const pinned = inclusion.flatMap((p, layer) => (p === UNIT ? [layer] : []));
  return [...pinned, ...chosen].sort((a, b) => a - b);
}

/** Reads a challenge, and recomputes its draw. */
export function readChallenge(file: Uint8Array): Challenge {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file));
  } catch {
    throw refuse('not a file of `nanozk challenge`');
  }
  const needed = ['version', 'model_id', 'commitment', 'randomness', 'drawn_at', 'policy', 'layers'];
  const read = fields(json, needed, ['used']);
  if (whole(read['version'], UNIT) !== VERSION) throw refuse('of another version');
  const modelId = digits(read['model_id'], 32, 32);
  const commitment = digits(read['commitment'], 32, 32);
  const beacon = (read['randomness'] as { source?: unknown } | null)?.source === 'beacon';
  const randomness = fields(read['randomness'], beacon ? ['source', 'name', 'value'] : ['source', 'value']);
  if (!beacon && randomness['source'] !== 'system') throw refuse('an unknown source of randomness');
  const value = fromHex(digits(randomness['value'], SHORTEST, LONGEST));
  const policy = readPolicy(read['policy']);
  if (policy.modelId !== undefined && policy.modelId !== modelId) throw refuse('a policy of another model');
  const lengths = littleEndian(value.length, 8);
  const seed = hash('nanozk-audit', 32, lengths, value, fromHex(commitment), policyDigest(policy));
  const layers = draw(policy, seed);
  if (!Array.isArray(read['layers']) || read['layers'].join() !== layers.join()) {
    throw refuse('its layers are not those drawn');
  }
  return {
    modelId,
    commitment,
    layers,
    total: policy.inclusion.length,
    caught: policy.inclusion.reduce((a, b) => Math.min(a, b)) / UNIT,
    source: beacon ? `the beacon ${String(randomness['name'])}` : 'the randomness of the verifier’s system',
    drawnAt: whole(read['drawn_at'], Number.MAX_SAFE_INTEGER),
  };
}

/** What a bundle proves beside all that its layers do, if it answers a challenge. */
export function checkChallenge(
  challenge: Challenge,
  model: { modelId: string; layers: number },
  proof: { prefix: bigint; layers: number[] },
): void {
  if (challenge.modelId !== model.modelId) {
    throw new Refused('other-challenge', `the challenge was drawn for model ${challenge.modelId}, not ${model.modelId}`);
  }
  if (challenge.total !== model.layers) {
    throw new Refused('mismatch', `the challenge draws from ${challenge.total} layers, the model has ${model.layers}`);
  }
  const prefix = hex(littleEndian(proof.prefix, 32));
  if (challenge.commitment !== prefix) {
    throw new Refused('other-commitment', `the proof is of the commitment ${prefix}, not ${challenge.commitment}`);
  }
  if (challenge.layers.join() !== proof.layers.join()) {
    throw new Refused('other-layers', `the proof is of the layers ${proof.layers}, drawn were ${challenge.layers}`);
  }
}

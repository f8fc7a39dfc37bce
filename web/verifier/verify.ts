/**
 * A second verifier of nanozk proofs, written from docs/protocol.md and docs/file-formats.md. It shares no code with the
 * first one, and rests on the curve and hash functions of the noble libraries.
 */

import { type Answer, checkAnswer } from './answer.js';
import { type Challenge, checkChallenge, readChallenge } from './audit.js';
import { type Budget, budget } from './budget.js';
import { type Bundle, checkFits, readBundle } from './bundle.js';
import { keyDigest } from './digest.js';
import { Refused } from './errors.js';
import { littleEndian } from './format.js';
import { Terms, firstOutside, pairingHolds } from './group.js';
import { Absorber } from './hash.js';
import { type VerifierKey, readVerifier } from './key.js';
import { type LayerEquations, prepareLayer } from './layer.js';
import { withNoise } from './noise.js';
import type { Sum } from './opening.js';
import { mul } from './field.js';
import { type Shown, shown } from './shown.js';
import { ceremonyOf } from './srs.js';

export { Refused, type Check } from './errors.js';

/** What the verifier insists on. */
export interface Options {
  /** Model id that is expected; any will do without. */
  modelId?: string;
  /** Nonce that the proof must carry, in hexadecimal digits; any will do without. */
  nonce?: string;
  /** Accept an SRS of no known ceremony, whose maker can forge proofs. */
  allowUnsafeSrs?: boolean;
  /** Accept a proof of some layers, from which nothing follows for the model. */
  allowPartial?: boolean;
  /** The challenge that the proof answers, a file: some layers will do, exactly those that were drawn. */
  challenge?: Uint8Array;
  /** Told of each step when it is done. */
  onStep?: (step: Step) => void;
}

/** A step of verification: what was checked, for how long, and what part of all that is. */
export interface Step {
  name: string;
  milliseconds: number;
  done: number;
}

/** What files claim; nothing of it is verified. */
export interface Description {
  modelId: string;
  /** Names of the layers. */
  layers: string[];
  /** Layers that the proof is about. */
  claimed: number[];
  tokens: number;
  length: number;
  nonce: string;
  /** Ceremony of the SRS; absent when it is unsafe. */
  ceremony?: string;
  /** BLAKE2b-256 of the model's tokenizer. */
  tokenizer?: string;
  proofBytes: number;
}

/** What an accepted proof shows. */
export interface Verdict extends Description {
  /** Whether it holds for the model as a whole. */
  full: boolean;
  /** The challenge whose layers are proven. */
  audited?: Challenge;
  input: Shown[];
  output: Shown[];
  /** The answer, each token of which is the model's choice, if the proof claims one. */
  answer?: Answer;
  soundness: Budget;
  steps: Step[];
}

/** What verifier file and proof claim. */
export function describe(key: VerifierKey, bundle: Bundle): Description {
  const ceremony = ceremonyOf(key.srs)?.name;
  return {
    modelId: key.modelId,
    layers: key.layers.map((layer) => layer.name),
    claimed: bundle.layers.map((layer) => layer.index),
    tokens: key.tokens,
    length: bundle.length,
    nonce: bundle.nonce,
    ...(ceremony === undefined ? {} : { ceremony }),
    ...(key.tokenizer === undefined ? {} : { tokenizer: key.tokenizer }),
    proofBytes: bundle.proofBytes,
  };
}

/** Parts of the work: reading both files, and the pairing with all that comes before it, in layers. */
const READING = 2;
const PAIRING = 2;

/** Measures steps. */
class Clock {
  readonly steps: Step[] = [];
  private start = performance.now();
  private done = 0;
  /** All that is to be done, as far as it is known. */
  total = 2 * READING;

  constructor(private readonly onStep?: (step: Step) => void) {}

  step(name: string, work: number): void {
    const now = performance.now();
    this.done += work;
    const step = { name, milliseconds: now - this.start, done: Math.min(1, this.done / this.total) };
    this.steps.push(step);
    this.start = now;
    this.onStep?.(step);
  }
}

/**
 * Verifies a proof file with a verifier file.
 *
 * @throws Refused with the check that failed.
 */
export function verifyFiles(verifier: Uint8Array, proof: Uint8Array, options: Options = {}): Verdict {
  const clock = new Clock(options.onStep);
  const key = readVerifier(verifier);
  clock.step('verifier file', READING);
  const bundle = readBundle(proof);
  clock.total = READING + bundle.layers.length + PAIRING;
  clock.step('proof file', 0);
  try {
    return verify(key, bundle, options, clock);
  } catch (error) {
    if (error instanceof Refused) error.description = describe(key, bundle);
    throw error;
  }
}

/** The same of files that were read. */
export function verify(key: VerifierKey, file: Bundle, options: Options = {}, clock = new Clock()): Verdict {
  const challenge = options.challenge && readChallenge(options.challenge);
  if (challenge !== undefined) {
    const layers = file.layers.map(({ index }) => index);
    checkChallenge(challenge, { modelId: key.modelId, layers: key.layers.length }, { prefix: file.prefix, layers });
  }
  const id = options.modelId?.toLowerCase();
  if (id !== undefined && id !== key.modelId) {
    throw new Refused('model-id', `the verifier file is of model ${key.modelId}, not ${id}`);
  }
  if (file.modelId !== key.modelId) {
    throw new Refused('other-model', `the proof is of model ${file.modelId}, the verifier file of ${key.modelId}`);
  }
  if (options.nonce !== undefined && options.nonce.toLowerCase() !== file.nonce) {
    throw new Refused('nonce', 'the proof does not carry the nonce asked for');
  }
  if (ceremonyOf(key.srs) === undefined && options.allowUnsafeSrs !== true) {
    throw new Refused('unsafe-srs', 'the SRS matches no known ceremony, so whoever made it can forge proofs');
  }
  checkFits(file, key);
  if (file.layers.length === 0) throw new Refused('empty', 'the proof covers no layer');
  const bundle = withNoise(file, key);
  clock.step('statement', 0);

  const digests = new Map<number, bigint>();
  const digestOf = (index: number): bigint => {
    const id = key.layers[index]!.shape;
    const { circuit, plan } = key.shapes[id]!;
    const digest = digests.get(id) ?? keyDigest(circuit, plan.geometry.k);
    digests.set(id, digest);
    return digest;
  };
  const layers = bundle.layers.map(({ index }, at) => {
    const prepared = prepareLayer(key, bundle, at, digestOf(index));
    clock.step(`layer ${index}: ${key.layers[index]!.name}`, 1);
    return prepared;
  });
  checkSubgroup(layers);
  checkEquations(key, bundle, layers);
  clock.step('group equations and pairing', PAIRING);

  const all = bundle.layers.length === key.layers.length;
  const full = all && challenge === undefined;
  if (!all && challenge === undefined && options.allowPartial !== true) {
    const [proven, total] = [bundle.layers.length, key.layers.length];
    throw new Refused('partial', `the proof covers ${proven} of ${total} layers: no output follows from the input`);
  }
  // What an audit is about is the whole statement, which every layer proof is bound to.
  const whole = all || challenge !== undefined;
  const answer = whole ? checkAnswer(key, bundle) : undefined;
  if (answer !== undefined && answer.temperature > 0 && options.nonce === undefined) {
    throw new Refused('drawn-nonce', 'the answer is drawn with noise that follows from the nonce; name the one that you chose');
  }
  const proven = bundle.layers.map(({ index }) => key.layers[index]!);
  const tensors = whole
    ? new Set(key.tensors.keys())
    : new Set(proven.flatMap((layer) => [...layer.inputs, ...layer.outputs]));
  return {
    ...describe(key, bundle),
    full,
    ...(challenge === undefined ? {} : { audited: challenge }),
    input: key.inputs.map((end) => shown(key, bundle, end, tensors)),
    output: key.outputs.map((end) => shown(key, bundle, end, tensors)),
    ...(answer === undefined ? {} : { answer }),
    soundness: budget(key),
    steps: clock.steps,
  };
}

/** Refuses the first layer that holds a point outside the subgroup. */
function checkSubgroup(layers: LayerEquations[]): void {
  const all = layers.flatMap(({ index, unchecked }) =>
    unchecked.flatMap(({ check, points }) => points.map((point) => ({ index, check, point }))),
  );
  const outside = firstOutside(all.map(({ point }) => point));
  if (outside === undefined) return;
  const { index, check } = all[outside]!;
  throw new Refused(check, `layer ${index}: an invalid curve point`, index);
}

function addAll(terms: Terms, factor: bigint, sum: Sum): void {
  for (const [scalar, point] of sum) terms.add(mul(factor, scalar), point);
}

/** All equations of all layers in one pairing, with coefficients that hash all they depend on. */
function checkEquations(key: VerifierKey, bundle: Bundle, layers: LayerEquations[]): void {
  const absorber = new Absorber('nanozk batch').bytes('prefix', littleEndian(bundle.prefix, 32));
  for (const { index, bytes } of bundle.layers) absorber.u32('index', index).bytes('layer', bytes);
  const seed = absorber.digest();
  let drawn = 0;
  const coefficient = () => new Absorber('nanozk batch coefficient').bytes('seed', seed).u32('index', drawn++).scalar();
  const [left, right] = [new Terms(), new Terms()];
  for (const { opening, weights } of layers) {
    const [ofOpening, ofWeights] = [coefficient(), coefficient()];
    addAll(left, ofOpening, opening.left);
    addAll(right, ofOpening, opening.right);
    addAll(right, ofWeights, weights);
  }
  if (pairingHolds(left.sum(), right.sum(), key.s2)) return;
  layers.forEach((layer) => checkAlone(key, layer));
  throw new Refused('layer-rejected', 'the equations of all layers together do not hold');
}

/** Names the equation of a layer that does not hold. */
function checkAlone(key: VerifierKey, { index, opening, weights }: LayerEquations): void {
  const sum = (terms: Sum) => {
    const out = new Terms();
    addAll(out, 1n, terms);
    return out.sum();
  };
  if (sum(weights) !== null) {
    throw new Refused('layer-weights', `layer ${index}: the weight fold is not that of the committed weights`, index);
  }
  if (!pairingHolds(sum(opening.left), sum(opening.right), key.s2)) {
    throw new Refused('layer-rejected', `layer ${index}: the opening does not hold`, index);
  }
}

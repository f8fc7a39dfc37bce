/** The noise by which answers are drawn (docs/protocol.md section 14). */

import { chacha20orig } from '@noble/ciphers/chacha.js';
import { inputsOf } from './answer.js';
import type { Bundle } from './bundle.js';
import { Refused } from './errors.js';
import { Absorber, fromHex } from './hash.js';
import { type Tensor, type VerifierKey, noiseOf } from './key.js';

const FRACTION = 2 ** 24;
const MANTISSA = 10;
const EXPONENTS = 40;
const MAX_TEMPERATURE = 100_000;
/** What the variates add up to, each sum times 31 before the next, in 64 bits: those of every verifier. */
const VARIATES_SUM = -7841303395416234929n;

let table: number[] | undefined;

/** `-ln(-ln(1 - v))` times 2^24 by exponent and mantissa of v. */
function variates(): number[] {
  if (table !== undefined) return table;
  const made = Array.from({ length: EXPONENTS << MANTISSA }, (_, index) => {
    const [exponent, mantissa] = [index >> MANTISSA, index & ((1 << MANTISSA) - 1)];
    const v = (1 + (mantissa + 0.5) / (1 << MANTISSA)) * 2 ** (-exponent - 1);
    return roundAway(-Math.log(-Math.log1p(-v)) * FRACTION);
  });
  const sum = made.reduce((sum, v) => BigInt.asIntN(64, sum * 31n + BigInt(v)), 0n);
  if (sum !== VARIATES_SUM) throw new Error('the logarithms of this machine are not those that the noise is made of');
  table = made;
  return made;
}

/** The nearest integer, halves away from 0. */
function roundAway(x: number): number {
  const whole = Math.trunc(x);
  return Math.abs(x - whole) >= 0.5 ? whole + Math.sign(x) : whole;
}

/** The variate of 64 bits, given as two halves. */
function variate(high: number, low: number): number {
  const zeros = high !== 0 ? Math.clz32(high) : 32 + Math.clz32(low);
  const exponent = Math.min(zeros, EXPONENTS - 1);
  const bits = (BigInt(high) << 32n) | BigInt(low);
  const behind = BigInt.asUintN(64, bits << BigInt(exponent + 1)) >> BigInt(64 - MANTISSA);
  return variates()[(exponent << MANTISSA) + Number(behind)]!;
}

/** Whether all noise at a temperature, in thousandths, is within the range of its tensor. */
function fits(temperature: number, { scale, lo, hi }: Tensor): boolean {
  const all = variates();
  const least = all.reduce((a, b) => Math.min(a, b));
  const most = all.reduce((a, b) => Math.max(a, b));
  return lo <= noiseOfVariate(least, temperature, scale) && noiseOfVariate(most, temperature, scale) <= hi;
}

function noiseOfVariate(g: number, temperature: number, scale: number): bigint {
  return BigInt(roundAway((g * ((temperature * scale) / 1000)) / FRACTION));
}

/** The bundle with the noise that its claims lead to: 0 where no token is drawn. */
export function withNoise(bundle: Bundle, key: VerifierKey): Bundle {
  const temperature = bundle.answer?.temperature ?? 0;
  const id = noiseOf(key);
  const spec = id === undefined ? undefined : key.tensors[id]!;
  if (temperature > MAX_TEMPERATURE || (temperature > 0 && (spec === undefined || !fits(temperature, spec)))) {
    throw new Refused('answer', `the model was not compiled for a temperature of ${temperature} thousandths`);
  }
  if (spec === undefined) return bundle;
  const values = noiseValues(bundle, key, spec);
  return { ...bundle, public: bundle.public.map((p) => (p.tensor === id ? { tensor: p.tensor, values } : p)) };
}

/** All values of a model's noise, row-major: 0 where no token is drawn. */
function noiseValues(bundle: Bundle, key: VerifierKey, spec: Tensor): bigint[] {
  const [tokens, width] = [key.tokens, spec.features];
  const values = new Array<bigint>(tokens * width).fill(0n);
  const { answer, length } = bundle;
  if (answer === undefined || answer.temperature === 0) return values;
  const { tokens: input } = inputsOf(key);
  const read = bundle.public.find((p) => p.tensor === input)?.values ?? [];
  const { prompt, temperature } = answer;
  // What does not fit is refused as an answer in any case.
  if (prompt === 0 || prompt > length || length > tokens || read.length !== tokens) return values;
  const seed = new Absorber('nanozk noise')
    .bytes('model id', fromHex(bundle.modelId))
    .bytes('nonce', fromHex(bundle.nonce))
    .u32('temperature', temperature)
    .integers('prompt', read.slice(0, prompt).map((token) => BigInt.asUintN(32, token)))
    .digest();
  for (let t = prompt - 1; t < length; t += 1) {
    const nonce = new Uint8Array(8);
    new DataView(nonce.buffer).setUint32(0, t, true);
    const stream = new DataView(chacha20orig(seed, nonce, new Uint8Array(8 * width)).buffer);
    for (let j = 0; j < width; j += 1) {
      const g = variate(stream.getUint32(8 * j + 4, true), stream.getUint32(8 * j, true));
      values[t * width + j] = noiseOfVariate(g, temperature, spec.scale);
    }
  }
  return values;
}

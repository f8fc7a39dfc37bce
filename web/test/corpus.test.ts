/**
 * Forged files with the verdict of the first verifier on each: `tests/corpus`. Both must agree in the verdict and in the
 * check that fails. NANOZK_FLIPS=all tries every flipped bit.
 */

import { expect, test } from 'vitest';
import { readBundle } from '../verifier/bundle.js';
import { PROOF, VERIFIER } from '../verifier/format.js';
import { type VerifierKey, readVerifier } from '../verifier/key.js';
import { verify } from '../verifier/verify.js';
import { type Outcome, type Piece, assemble, cases, flips, outcomeOf, payload, seal } from './files.js';

/** Flipped bits that are tried by default. */
const SOME_FLIPS = 150;

const keys = new Map<string, VerifierKey>();

/** Verifies as one who insists on all layers and nothing else; keys are read once. */
function outcome(verifier: Piece[], proof: Uint8Array, challenge?: string): Outcome {
  return outcomeOf(() => {
    const name = JSON.stringify(verifier);
    const key = keys.get(name) ?? readVerifier(seal(VERIFIER, assemble(verifier)));
    keys.set(name, key);
    const asked = challenge === undefined ? {} : { challenge: new TextEncoder().encode(challenge) };
    verify(key, readBundle(seal(PROOF, proof)), { allowUnsafeSrs: true, ...asked });
  });
}

test.each(cases)('$name', ({ verifier, proof, challenge, check, layer }) => {
  const expected = { ...(check === undefined ? {} : { check }), ...(layer === undefined ? {} : { layer }) };
  expect(outcome(verifier, assemble(proof), challenge)).toEqual(expected);
});

test('flipped bits', { timeout: 600_000 }, () => {
  const all = process.env['NANOZK_FLIPS'] === 'all';
  const step = all ? 1 : Math.ceil(flips.flips.length / SOME_FLIPS);
  const honest = payload('single.proof');
  const key: Piece[] = [['single.verifier', 0, payload('single.verifier').length]];
  let slowest = 0;
  let tried = 0;
  for (let i = 0; i < flips.flips.length; i += step) {
    const [at, bit, place] = flips.flips[i]!;
    const forged = Uint8Array.from(honest);
    forged[at] = forged[at]! ^ (1 << bit);
    const start = performance.now();
    expect(outcome(key, forged), `byte ${at}, bit ${bit}`).toEqual(flips.outcomes[place]);
    slowest = Math.max(slowest, performance.now() - start);
    tried += 1;
  }
  console.log(`${tried} flipped bits refused alike, the slowest after ${slowest.toFixed(0)} ms`);
  expect(process.memoryUsage().heapUsed).toBeLessThan(512 * 2 ** 20);
});

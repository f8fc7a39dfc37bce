/**
 * Forged files with the verdict of the first verifier on each: `tests/corpus`. Both must agree in the verdict and in the
 * check that fails. NANOZK_FLIPS=all tries every flipped bit.
 */

import { expect, test } from 'vitest';
import { readBundle } from '../verifier/bundle.js';
import { PROOF, VERIFIER } from '../verifier/format.js';
import { fromHex } from '../verifier/hash.js';
import { type VerifierKey, modelId, readVerifier } from '../verifier/key.js';
import { verify, verifyFiles } from '../verifier/verify.js';
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

/** Bytes between two flipped ones of a verifier file. */
const VERIFIER_STEP = 97;

/** A verifier file with a flipped bit is another model, and a proof that claims its id does not hold either. */
test('flipped bits of a verifier file', { timeout: 600_000 }, () => {
  const honest = payload('single.verifier');
  const proof = payload('single.proof');
  let slowest = 0;
  for (let at = 0; at < honest.length; at += VERIFIER_STEP) {
    const file = Uint8Array.from(honest);
    file[at] = file[at]! ^ (1 << (at % 8));
    const sealed = seal(VERIFIER, file);
    const claimed = Uint8Array.from(proof);
    claimed.set(fromHex(modelId(sealed)));
    const start = performance.now();
    const { check } = outcomeOf(() => void verifyFiles(sealed, seal(PROOF, claimed), { allowUnsafeSrs: true }));
    expect(check, `byte ${at}`).toBeDefined();
    slowest = Math.max(slowest, performance.now() - start);
  }
  console.log(`the slowest flipped verifier file takes ${slowest.toFixed(0)} ms`);
});

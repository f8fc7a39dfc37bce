import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { checkFits, readBundle } from '../verifier/bundle.js';
import { VERSION } from '../verifier/format.js';
import { readVerifier } from '../verifier/key.js';
import { verifyFiles } from '../verifier/verify.js';
import { HEADER, outcomeOf, read, seal, testsPath } from './files.js';

const VERSIONS = readdirSync(testsPath('golden'));

test.each(VERSIONS)('the files of %s get the verdict of their version', (version) => {
  const [verifier, proof] = ['verifier.nanozk', 'proof.nanozk'].map((name) => read(`golden/${version}/${name}`));
  if (version === `v${VERSION}`) {
    const verdict = verifyFiles(verifier!, proof!);
    expect(verdict.full).toBe(true);
    expect(verdict.ceremony).toContain('Ethereum');
    expect(verdict.output[0]!.values!.length).toBe(verdict.output[0]!.shape.reduce((n, d) => n * d, 1));
    expect(verdict.soundness.computational).toBeCloseTo(121.43, 1);
  } else {
    expect(outcomeOf(() => readVerifier(verifier!))).toEqual({ check: 'version' });
    expect(outcomeOf(() => readBundle(proof!))).toEqual({ check: 'version' });
  }
});

const golden = ['verifier.nanozk', 'proof.nanozk'].map((name) => read(`golden/v${VERSION}/${name}`)) as [
  Uint8Array,
  Uint8Array,
];

test('what the caller insists on is refused first', () => {
  const [verifier, proof] = golden;
  const outcome = (options: object) => outcomeOf(() => void verifyFiles(verifier, proof, options));
  const { modelId, nonce } = verifyFiles(verifier, proof);
  expect(outcome({ modelId, nonce: nonce.toUpperCase() })).toEqual({});
  expect(outcome({ modelId: modelId.replace(/^./, (c) => (c === '0' ? '1' : '0')) })).toEqual({ check: 'model-id' });
  expect(outcome({ nonce: '00' })).toEqual({ check: 'nonce' });
  expect(outcome({ nonce: '' })).toEqual({ check: 'nonce' });
});

test('a mask under which some token sees nothing is refused', () => {
  const [key, bundle] = [readVerifier(golden[0]), readBundle(golden[1])];
  const input = key.inputs[0]!.tensor;
  const spec = key.tensors[input]!;
  const tensor = bundle.public.find((tensor) => tensor.tensor === input)!;
  spec.rows = 'equal';
  const said = (visible: (at: number) => boolean) => {
    tensor.values = tensor.values.map((_, i) => (visible(i % spec.features) ? 1n : 0n));
    try {
      checkFits(bundle, key);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(said(() => true)).toBe('');
  expect(said(() => false)).toContain('hides all that some token sees');
  // The first token of a causal model sees itself alone.
  expect(said((at) => at > 0)).toContain('hides all that some token sees');
  key.circuits = Uint8Array.of(0);
  expect(said((at) => at > 0)).toBe('');
});

test('files of other kinds and damaged files are told apart', () => {
  const [verifier, proof] = golden;
  expect(outcomeOf(() => readVerifier(proof))).toEqual({ check: 'wrong-kind' });
  expect(outcomeOf(() => readBundle(verifier))).toEqual({ check: 'wrong-kind' });
  expect(outcomeOf(() => readVerifier(new TextEncoder().encode('GGUF....')))).toEqual({ check: 'foreign' });
  expect(outcomeOf(() => readBundle(new Uint8Array()))).toEqual({ check: 'foreign' });
  for (const length of [10, HEADER - 1, HEADER, proof.length - 1]) {
    expect(outcomeOf(() => readBundle(proof.subarray(0, length)))).toEqual({ check: 'damaged' });
  }
  const flipped = Uint8Array.from(proof);
  flipped[HEADER] = flipped[HEADER]! ^ 1;
  expect(outcomeOf(() => readBundle(flipped))).toEqual({ check: 'damaged' });
  expect(outcomeOf(() => readBundle(seal(3, flipped.subarray(HEADER, -1))))).toEqual({ check: 'unreadable' });
  const longer = new Uint8Array(proof.length + 1 - HEADER);
  longer.set(proof.subarray(HEADER));
  expect(outcomeOf(() => readBundle(seal(3, longer)))).toEqual({ check: 'unreadable' });
});

import type { Description } from './verify.js';

/**
 * Checks that a verifier file or a proof can fail, in the order in which they are made. The first five concern a file by
 * itself, the next ones the bundle as a whole, the last five the proof of one layer.
 */
export type Check =
  | 'foreign'
  | 'wrong-kind'
  | 'version'
  | 'damaged'
  | 'unreadable'
  | 'challenge'
  | 'other-challenge'
  | 'other-commitment'
  | 'other-layers'
  | 'model-id'
  | 'other-model'
  | 'nonce'
  | 'unsafe-srs'
  | 'mismatch'
  | 'empty'
  | 'layer-malformed'
  | 'layer-trailing'
  | 'layer-mismatch'
  | 'layer-weights'
  | 'layer-rejected'
  | 'partial'
  | 'answer'
  | 'drawn-nonce';

/** Why files are refused: the check that failed, the layer where it is one of a layer, and a sentence. */
export class Refused extends Error {
  /** What the files claim, where both could be read. */
  description?: Description;

  constructor(
    readonly check: Check,
    message: string,
    readonly layer?: number,
  ) {
    super(message);
    this.name = 'Refused';
  }
}

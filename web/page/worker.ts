/** Verifies off the page's thread. */

import { type Description, type Options, Refused, type Step, type Verdict, verifyFiles } from '../verifier/verify.js';

/** What to verify. */
export interface Job {
  verifier: Uint8Array;
  proof: Uint8Array;
  options: Omit<Options, 'onStep'>;
}

/** What becomes of it. */
export type Message =
  | { kind: 'step'; step: Step }
  | { kind: 'verdict'; verdict: Verdict }
  | { kind: 'refused'; check: string; message: string; description: Description | undefined }
  | { kind: 'failed'; message: string };

const post = (message: Message) => self.postMessage(message);

self.onmessage = ({ data }: MessageEvent<Job>) => {
  try {
    const onStep = (step: Step) => post({ kind: 'step', step });
    post({ kind: 'verdict', verdict: verifyFiles(data.verifier, data.proof, { ...data.options, onStep }) });
  } catch (error) {
    if (error instanceof Refused) {
      post({ kind: 'refused', check: error.check, message: error.message, description: error.description });
    } else {
      post({ kind: 'failed', message: String(error) });
    }
  }
};

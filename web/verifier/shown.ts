/** Model inputs and outputs as the source model has them. */

import type { Bundle } from './bundle.js';
import { type Endpoint, type VerifierKey, elementIndices, isExact } from './key.js';

export interface Shown {
  name: string;
  shape: number[];
  dtype: string;
  /** Row-major; `undefined` beyond the true number of tokens. Absent where the values are hidden or nothing is proven. */
  values?: (number | undefined)[];
  /** Why there are no values. */
  reason?: string;
}

/** A model input or output; `tensors` are those that the proof speaks of. */
export function shown(key: VerifierKey, bundle: Bundle, end: Endpoint, tensors: Set<number>): Shown {
  const spec = key.tensors[end.tensor]!;
  const value: Shown = { name: end.name, shape: end.shape.map(Number), dtype: end.dtype };
  const integers = bundle.public.find((p) => p.tensor === end.tensor)?.values;
  if (!tensors.has(end.tensor)) return { ...value, reason: 'no proven layer reads or writes it' };
  if (integers === undefined) return { ...value, reason: 'hidden behind a commitment' };
  const known = bundle.length * spec.features;
  const scale = isExact(end.dtype) && spec.scale === 1 ? 1 : spec.scale;
  const values = elementIndices(end).map((at) => (at < known ? Number(integers[at]) / scale : undefined));
  return { ...value, values };
}

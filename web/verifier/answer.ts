/** An answer as the statement: the tokens that a causal model chose behind a prompt (docs/protocol.md section 14). */

import type { Bundle } from './bundle.js';
import { Refused } from './errors.js';
import { type Endpoint, type VerifierKey, elementIndices, isExact, noiseOf } from './key.js';
import { Malformed, Reader } from './reader.js';
import { type Node, readCircuits, seesPadding } from './statement.js';

/** A prompt with the model's answer, as token ids. */
export interface Answer {
  prompt: number[];
  answer: number[];
  ended: 'end-of-sequence' | 'limit' | 'context';
  /** Temperature at which the tokens are drawn; 0: each is the likeliest. */
  temperature: number;
}

function refuse(what: string): Refused {
  return new Refused('answer', `the answer is not what the proof shows: ${what}`);
}

/** Whether an end of the model is one integer for each token, in order. */
function tokenEach(key: VerifierKey, end: Endpoint): boolean {
  const spec = key.tensors[end.tensor]!;
  const exact = isExact(end.dtype) && spec.scale === 1 && spec.features === 1;
  if (!exact || spec.lo < 0n || spec.hi > 0xffffffffn) return false;
  const indices = elementIndices(end);
  return indices.length === key.tokens && indices.every((at, i) => at === i);
}

/**
 * Whether the output is the index of the greatest of all scores of a token, and the noise, if there is any, is added to
 * these scores and read by nothing else.
 */
function wins(key: VerifierKey, graphs: Node[][], output: Endpoint): boolean {
  const noise = noiseOf(key);
  const readers = key.layers.flatMap((layer) => layer.inputs).filter((id) => id === noise).length;
  return key.layers.some((layer) => {
    const port = layer.outputs.indexOf(output.tensor);
    const graph = graphs[layer.shape];
    const written = graph?.find((node) => node.op === 'Output' && node.number === port);
    const choice = graph?.[written?.inputs[0] ?? -1];
    if (port < 0 || graph === undefined || choice?.op !== 'ArgMax' || choice.number !== 1) return false;
    const [scores, added] = choice.inputs;
    if (noise === undefined) return choice.inputs.length === 1;
    if (choice.inputs.length !== 2 || added === undefined || scores === added || readers !== 1) return false;
    const source = graph[added];
    if (source?.op !== 'Input' || layer.inputs[source.number ?? -1] !== noise) return false;
    const ports = graph.filter((node) => node.op === 'Input' && node.number === source.number).length;
    const uses = graph.flatMap((node) => node.inputs).filter((operand) => operand === added).length;
    return ports === 1 && uses === 1;
  });
}

/** The tensor of tokens, and those of a mask and of positions beside it. */
export function inputsOf(key: VerifierKey): { tokens: number; masks: number[]; positions: number[] } {
  const [tokens, masks, positions]: number[][] = [[], [], []];
  for (const end of key.inputs) {
    const spec = key.tensors[end.tensor]!;
    if (spec.visibility !== 'public input') throw refuse('the inputs of the model must be public');
    const mask = spec.rows === 'equal' && spec.features === key.tokens && spec.lo === 0n && spec.hi === 1n;
    const each = spec.rows === 'padded' && tokenEach(key, end);
    if (mask) masks!.push(end.tensor);
    else if (each && end.name.includes('position')) positions!.push(end.tensor);
    else if (each && tokens!.length === 0) tokens!.push(end.tensor);
    else throw refuse('the inputs of the model must be tokens of which a prompt may have fewer, their mask and positions');
  }
  if (tokens![0] === undefined) throw refuse('the model must have an input of tokens');
  return { tokens: tokens![0], masks: masks!, positions: positions! };
}

/** The tensors of tokens read and chosen, if the model writes answers. */
function writer(key: VerifierKey): ReturnType<typeof inputsOf> & { output: number } {
  let graphs: Node[][];
  try {
    graphs = readCircuits(new Reader(key.circuits));
  } catch (error) {
    if (error instanceof Malformed) throw refuse('its integer graphs cannot be read');
    throw error;
  }
  const inputs = inputsOf(key);
  const output = key.outputs[0];
  if (output === undefined || key.outputs.length !== 1) throw refuse('the model must have one output');
  const chosen = key.tensors[output.tensor]!;
  if (!tokenEach(key, output) || chosen.visibility !== 'public output' || !wins(key, graphs, output)) {
    throw refuse('the output of the model must be the index of the greatest score of each token');
  }
  if (graphs.some((graph) => seesPadding(graph, key.tokens))) {
    throw refuse('the tokens of the model see those that follow them');
  }
  return { ...inputs, output: output.tensor };
}

/** Prompt and answer of a bundle of all layers, which is verified already. */
export function checkAnswer(key: VerifierKey, bundle: Bundle): Answer | undefined {
  if (bundle.answer === undefined) return undefined;
  const { prompt, limit, temperature } = bundle.answer;
  const { tokens: input, masks, positions, output } = writer(key);
  const values = (tensor: number) => bundle.public.find((p) => p.tensor === tensor)!.values.map(Number);
  const [read, chosen] = [values(input), values(output)];
  if (temperature > 0 && noiseOf(key) === undefined) throw refuse('the model was not compiled for a temperature');
  if (temperature > 0 && bundle.nonce === '') throw refuse("an answer drawn at a temperature without the verifier's nonce");
  const { length } = bundle;
  if (prompt === 0 || prompt > length) throw refuse(`a prompt of ${prompt} tokens among ${length}`);
  const fixed = (tensor: number, value: (at: number) => number) => {
    if (values(tensor).every((found, at) => found === value(at))) return;
    throw refuse(`input ${key.tensors[tensor]!.name} is not that of an answer`);
  };
  for (const mask of masks) fixed(mask, () => 1);
  for (const positioned of positions) fixed(positioned, (at) => (at < length ? at : 0));
  for (let at = prompt; at < length; at += 1) {
    if (read[at] !== chosen[at - 1]) throw refuse(`token ${at} is ${read[at]}, and the model chose ${chosen[at - 1]}`);
    if (key.end.includes(read[at]!)) throw refuse(`token ${at} ends the answer, and more tokens follow`);
  }
  const tokens = length - prompt + 1;
  if (tokens > limit) throw refuse(`${tokens} tokens where at most ${limit} were asked for`);
  let ended: Answer['ended'];
  if (key.end.includes(chosen[length - 1]!)) ended = 'end-of-sequence';
  else if (tokens === limit) ended = 'limit';
  else if (length === key.tokens) ended = 'context';
  else throw refuse(`it stops after ${tokens} tokens, which neither end it nor are the ${limit} that were asked for`);
  return { prompt: read.slice(0, prompt), answer: chosen.slice(prompt - 1, length), ended, temperature: temperature / 1000 };
}

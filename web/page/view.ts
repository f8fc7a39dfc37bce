/** A verdict in plain words. Names and texts come from files: they are shown as text, never as markup. */

import type { Description, Step, Verdict } from '../verifier/verify.js';
import type { Shown } from '../verifier/shown.js';
import type { Tokenizer } from './tokenizer.js';

type Child = Node | string;

/** An element with attributes and children. */
export function el(tag: string, attributes: Record<string, string> = {}, ...children: Child[]): HTMLElement {
  const out = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) out.setAttribute(name, value);
  out.append(...children);
  return out;
}

/** Values that are shown of a long list. */
const MOST_VALUES = 64;

/** What each failed check means. */
const MEANINGS: Record<string, string> = {
  foreign: 'One of the files is not a nanozk file.',
  'wrong-kind': 'The files are in each other’s place, or one is of another kind.',
  version: 'A file was made by another version of nanozk. Ask for one of this version.',
  damaged: 'A file was damaged on the way. Get it again.',
  unreadable: 'A file holds what no honest program writes.',
  'model-id': 'The verifier file is not of the model that you expect.',
  'other-model': 'The proof is of another model than the verifier file.',
  nonce: 'The proof is not the one that you asked for: it may be an old one.',
  'drawn-nonce': 'The answer is drawn with noise that follows from your nonce: say above which nonce you chose.',
  challenge: 'The challenge is not one that anybody drew.',
  'other-challenge': 'The challenge was drawn for another model.',
  'other-commitment': 'The challenge was drawn for another answer.',
  'other-layers': 'The proof is not of the layers that were drawn.',
  'unsafe-srs': 'Whoever made the SRS of this model can forge proofs, so this proof shows nothing to others.',
  mismatch: 'The proof speaks of other inputs, outputs or layers than the model has.',
  empty: 'The proof covers no layer of the model.',
  partial: 'The proof leaves layers out, so no output follows from the input.',
  answer: 'The run is proven, but the answer is not what the model chose.',
  'layer-malformed': 'The proof of a layer is not one.',
  'layer-trailing': 'The proof of a layer has bytes that do not belong to it.',
  'layer-mismatch': 'The proof of a layer does not fit the layer.',
  'layer-weights': 'The layer was run with other weights than those of the model.',
  'layer-rejected': 'The proof of a layer does not hold: something in the answer, or in between, is not the model’s.',
};

function banner(kind: 'good' | 'part' | 'bad', title: string, text: string): HTMLElement {
  const sign = { good: '✓', part: '◐', bad: '✗' }[kind];
  const mark = el('span', { class: 'sign', 'aria-hidden': 'true' }, sign);
  return el('div', { class: `banner ${kind}` }, mark, el('div', {}, el('h2', {}, title), el('p', {}, text)));
}

function row(name: string, ...value: Child[]): HTMLElement {
  return el('div', { class: 'row' }, el('dt', {}, name), el('dd', {}, ...value));
}

function section(title: string, ...children: Child[]): HTMLElement {
  return el('section', {}, el('h3', {}, title), ...children);
}

/** The layers from input to output, each proven or not. */
function layers({ layers: names, claimed }: Description, proven: boolean): HTMLElement {
  const items = names.map((name, index) => {
    const state = !claimed.includes(index) ? 'unproven' : proven ? 'proven' : 'unknown';
    const words = { unproven: 'left out', proven: 'proven', unknown: 'not shown' }[state];
    return el('li', { class: state }, el('b', {}, name), el('span', {}, words));
  });
  return el('ol', { class: 'layers', 'aria-label': 'Layers of the model, from input to output' }, ...items);
}

function srs({ ceremony }: Description): Child[] {
  if (ceremony !== undefined) return [`made in public: ${ceremony}`];
  return [el('strong', { class: 'alarm' }, 'of no known ceremony: whoever made it can forge proofs')];
}

function statement(about: Description, proven: boolean, expected: boolean): HTMLElement {
  const compare = expected ? ' — the one that you expect' : ' — compare it with the id that you know from the publisher';
  return el(
    'dl',
    {},
    row('Model', el('code', {}, about.modelId), proven || !expected ? compare : ''),
    row('Layers', `${about.claimed.length} of ${about.layers.length}${proven ? ' proven' : ' in the proof'}`),
    row('Tokens', `${about.length} of ${about.tokens}`),
    row('Nonce', about.nonce === '' ? 'none' : el('code', {}, about.nonce)),
    row('SRS', ...srs(about)),
    row('Size', `${about.proofBytes.toLocaleString('en')} bytes of proof`),
  );
}

function values({ name, shape, dtype, values: list, reason }: Shown): HTMLElement {
  const title = el('b', {}, name);
  const type = el('small', {}, ` ${dtype}[${shape.join(', ')}]`);
  if (list === undefined) return el('p', {}, title, type, ` ${reason ?? ''}`);
  const known = list.filter((value) => value !== undefined);
  const number = (value: number) => (Number.isInteger(value) ? String(value) : value.toFixed(4));
  const shownValues = known.slice(0, MOST_VALUES).map(number).join('  ');
  const more = known.length > MOST_VALUES ? ` … (${known.length} values)` : '';
  return el('div', { class: 'values' }, el('p', {}, title, type), el('pre', {}, shownValues + more));
}

/** Prompt and answer, as text where the tokenizer is the model's own. */
function answer({ answer: shown, tokenizer: named }: Verdict, tokenizer: Tokenizer | undefined): HTMLElement | undefined {
  if (shown === undefined) return undefined;
  const text = (tokens: number[]) => (tokenizer === undefined ? tokens.join(' ') : tokenizer.decode(tokens));
  const ended = {
    'end-of-sequence': 'It ends where the model ends it.',
    limit: 'It has as many tokens as were asked for.',
    context: 'It ends where the model takes no more tokens.',
  }[shown.ended];
  const chosen =
    shown.temperature === 0
      ? 'Every token of the answer is the model’s likeliest choice behind those before it.'
      : `Every token of the answer is drawn at temperature ${shown.temperature}, with noise that follows from your nonce.`;
  const out = section(
    'Prompt and answer',
    el('blockquote', { class: 'prompt', 'aria-label': 'Prompt' }, text(shown.prompt)),
    el('blockquote', { class: 'answer', 'aria-label': 'Answer' }, text(shown.answer)),
    el('p', {}, `${chosen} ${ended}`),
  );
  if (tokenizer === undefined) out.append(el('p', { class: 'hint' }, 'These are token ids: give tokenizer.json to read them.'));
  else if (named === undefined) out.append(warning('The model id names no tokenizer: the ids are proven, the text is not.'));
  else if (named !== tokenizer.digest) {
    out.append(warning('This is not the tokenizer that the model id names: the ids are proven, the text is not.'));
  }
  return out;
}

function warning(text: string): HTMLElement {
  return el('p', { class: 'warning' }, text);
}

/** The steps with their times. */
function checks(steps: Step[]): HTMLElement {
  const total = steps.reduce((sum, step) => sum + step.milliseconds, 0);
  const item = ({ name, milliseconds }: Step) =>
    el('li', {}, el('span', {}, `✓ ${name}`), el('span', {}, `${milliseconds.toFixed(0)} ms`));
  return section(`Checks (${(total / 1000).toFixed(2)} s)`, el('ol', { class: 'checks' }, ...steps.map(item)));
}

/** What the provider says, as far as it was checked. */
function checked({ audited, full }: Verdict): string {
  if (audited !== undefined) {
    return 'This model, run on this input, gives this output. Of that, the layers that were drawn were checked here.';
  }
  return full
    ? 'This model, run on this input, gives this output, to the unit. That is what was checked here.'
    : 'The layers marked as proven were run as the model says. Nothing follows for the output.';
}

/** Who says what, and why it is to be believed or not. */
function claims(verdict: Verdict): HTMLElement {
  const trust = verdict.ceremony === undefined ? 'Nothing that could be checked; it is ' : 'Nobody knows its secret; it was ';
  return section(
    'Who claims what',
    el(
      'dl',
      {},
      row(
        'The publisher',
        'This file is the model with the id above. Compare the id with one from a source that you trust; ',
        el('code', {}, 'nanozk check'),
        ' shows once for each file that weights, tables and circuits are what it says.',
      ),
      row('The provider', checked(verdict)),
      row('The maker of the SRS', trust, ...srs(verdict)),
      row('Nobody', 'That the model is good, or true. Proofs show what was computed.'),
    ),
  );
}

/** A proof that holds. */
export function showVerdict(verdict: Verdict, expected: boolean, tokenizer: Tokenizer | undefined): Child[] {
  const { statistical, computational } = verdict.soundness;
  const bits = Math.floor(Math.min(statistical, computational));
  const out: Child[] = [];
  if (verdict.ceremony === undefined) {
    out.push(banner('bad', 'Unsafe SRS', 'Whoever made the SRS of this model can forge proofs: trust this one as you trust them.'));
  }
  if (verdict.audited !== undefined) {
    const { layers: drawn, total, caught, source } = verdict.audited;
    const text =
      `${drawn.length} of ${total} layers, drawn from ${source}, are proven. Whoever commits to an output with one wrong layer is ` +
      `caught with a probability of ${(100 * caught).toFixed(1)} %. Another proof must not answer the same challenge.`;
    out.push(banner('part', 'Audited', text));
  } else if (!verdict.full) {
    out.push(banner('part', 'Some layers verified', 'The others are unproven: nothing follows for the output of the model.'));
  } else {
    const kind = verdict.ceremony === undefined ? 'part' : 'good';
    out.push(banner(kind, 'Verified', 'The output below is what the model with this id computes from the input below.'));
  }
  const text = answer(verdict, tokenizer);
  if (text !== undefined) out.push(text);
  out.push(
    section('Statement', statement(verdict, true, expected), layers(verdict, true)),
    section('Input', ...verdict.input.map(values)),
    section('Output', ...verdict.output.map(values)),
    claims(verdict),
    section(
      'Soundness',
      el('p', {}, `${bits} bits: to make a false proof takes about 2^${bits} operations. `,
        el('small', {}, `statistical ${statistical.toFixed(0)}, computational ${computational.toFixed(0)}`)),
    ),
    checks(verdict.steps),
  );
  return out;
}

/** A proof that is refused. */
export function showRefusal(check: string, message: string, about: Description | undefined, steps: Step[]): Child[] {
  const out: Child[] = [banner('bad', 'Not verified', MEANINGS[check] ?? 'The proof was not accepted.')];
  out.push(el('p', { class: 'detail' }, 'Do not rely on the answer. ', el('code', {}, message)));
  if (about !== undefined) {
    out.push(section('What the files claim', statement(about, false, check === 'model-id'), layers(about, false)));
  }
  if (steps.length > 0) out.push(checks(steps));
  return out;
}

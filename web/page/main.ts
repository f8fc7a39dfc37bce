/** The page: takes files, has a worker verify them, and shows the verdict. */

import { kindOf, PROOF, VERIFIER } from '../verifier/format.js';
import type { Step } from '../verifier/verify.js';
import { type Tokenizer, readTokenizer } from './tokenizer.js';
import { el, showRefusal, showVerdict } from './view.js';
import type { Job, Message } from './worker.js';
import VerifyWorker from './worker.js?worker&inline';

type Slot = 'verifier' | 'proof' | 'tokenizer' | 'challenge';
const SLOTS: Slot[] = ['verifier', 'proof', 'tokenizer', 'challenge'];

const files: Partial<Record<Slot, Uint8Array>> = {};
let worker: Worker | undefined;

function find<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const form = find<HTMLFormElement>('form');
const button = find<HTMLButtonElement>('verify');
const progress = find('progress');
const bar = find<HTMLProgressElement>('bar');
const result = find('result');

/** What a JSON file is; nothing if it is none. */
function ofText(bytes: Uint8Array): Slot | undefined {
  try {
    const json: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return typeof json === 'object' && json !== null && 'commitment' in json ? 'challenge' : 'tokenizer';
  } catch {
    return undefined;
  }
}

/** Puts a file in its slot: one of several that were dropped goes where its kind says. */
function take(bytes: Uint8Array, name: string, slot?: Slot): void {
  const kind = kindOf(bytes);
  const to = slot ?? (kind === VERIFIER ? 'verifier' : kind === PROOF ? 'proof' : ofText(bytes)) ?? 'proof';
  files[to] = bytes;
  const label = find(to).closest('label')!;
  label.classList.add('filled');
  label.querySelector('small')!.textContent = `${name}, ${bytes.length.toLocaleString('en')} bytes`;
  button.disabled = files.verifier === undefined || files.proof === undefined;
}

/** Verifies as soon as both files are there. */
function verifyIfReady(): void {
  if (!button.disabled) verify();
}

function show(...children: (Node | string)[]): void {
  progress.hidden = true;
  result.replaceChildren(...children);
  result.focus({ preventScroll: true });
}

function fail(title: string, message: string): void {
  show(el('div', { class: 'banner bad' }, el('div', {}, el('h2', {}, title), el('p', {}, message))));
}

function tokenizer(): Tokenizer | undefined {
  return files.tokenizer === undefined ? undefined : readTokenizer(files.tokenizer);
}

function verify(): void {
  const { verifier, proof } = files;
  if (verifier === undefined || proof === undefined) return;
  worker?.terminate();
  result.replaceChildren();
  progress.hidden = false;
  bar.value = 0;
  find('step').textContent = 'Reading the verifier file';
  const modelId = find<HTMLInputElement>('model-id').value.trim();
  const nonce = find<HTMLInputElement>('nonce').value.trim();
  const options: Job['options'] = {
    ...(modelId === '' ? {} : { modelId }),
    ...(nonce === '' ? {} : { nonce }),
    ...(files.challenge === undefined ? {} : { challenge: files.challenge }),
    allowPartial: find<HTMLInputElement>('allow-partial').checked,
    allowUnsafeSrs: find<HTMLInputElement>('allow-unsafe').checked,
  };
  const steps: Step[] = [];
  worker = new VerifyWorker();
  worker.onmessage = ({ data }: MessageEvent<Message>) => {
    switch (data.kind) {
      case 'step':
        steps.push(data.step);
        bar.value = data.step.done;
        find('step').textContent = `Checked: ${data.step.name}`;
        return;
      case 'verdict':
        try {
          show(...showVerdict(data.verdict, modelId !== '', tokenizer()));
        } catch (error) {
          fail('Not shown', `The tokenizer cannot be read: ${String(error)}`);
        }
        break;
      case 'refused':
        show(...showRefusal(data.check, data.message, data.description, steps));
        break;
      case 'failed':
        fail('Not verified', `This page failed: ${data.message}`);
        break;
    }
    worker?.terminate();
  };
  worker.onerror = (event) => fail('Not verified', `This page failed: ${event.message}`);
  worker.postMessage({ verifier, proof, options } satisfies Job);
}

async function takeAll(list: Iterable<File>, slot?: Slot): Promise<void> {
  for (const file of list) take(new Uint8Array(await file.arrayBuffer()), file.name, slot);
  verifyIfReady();
}

for (const slot of SLOTS) {
  const input = find<HTMLInputElement>(slot);
  input.addEventListener('change', () => void takeAll(input.files ?? [], slot));
}
form.addEventListener('submit', (event) => {
  event.preventDefault();
  verify();
});
document.addEventListener('dragover', (event) => {
  event.preventDefault();
  find('drop').classList.add('over');
});
document.addEventListener('dragleave', () => find('drop').classList.remove('over'));
document.addEventListener('drop', (event) => {
  event.preventDefault();
  find('drop').classList.remove('over');
  void takeAll(event.dataTransfer?.files ?? []);
});

/** Files that a report holds, or that the address names. */
async function start(): Promise<void> {
  const query = new URLSearchParams(location.search);
  find<HTMLInputElement>('model-id').value = query.get('model-id') ?? '';
  find<HTMLInputElement>('nonce').value = query.get('nonce') ?? '';
  const embedded = document.querySelectorAll<HTMLScriptElement>('script[data-file]');
  for (const holder of embedded) {
    const bytes = Uint8Array.from(atob(holder.textContent!.trim()), (c) => c.charCodeAt(0));
    const name = holder.dataset['name'] ?? 'file';
    take(bytes, name, holder.dataset['file'] as Slot);
    const link = el('a', { download: name, href: URL.createObjectURL(new Blob([bytes])) }, `Save ${name}`);
    find('drop').append(link);
  }
  if (embedded.length > 0) {
    find('drop').append(
      el(
        'p',
        { class: 'warning' },
        'This report was written by whoever sent it, this page included. To rely on nothing of it, save its files and check ' +
          'them with a verifier of your own.',
      ),
    );
  }
  for (const slot of SLOTS) {
    const address = query.get(slot);
    if (address === null) continue;
    const response = await fetch(address);
    if (!response.ok) throw new Error(`${address}: ${response.status}`);
    take(new Uint8Array(await response.arrayBuffer()), address.split('/').pop()!, slot);
  }
  verifyIfReady();
}

start().catch((error: unknown) => fail('Not read', `${String(error)}; a page from a disk cannot fetch files: drop them here`));

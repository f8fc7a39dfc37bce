/** The page in headless Chromium, as it is built and opened from a disk. Skipped where there is no Chromium. */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { type Browser, type Page, chromium } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROOF, VERIFIER } from '../verifier/format.js';
import { assemble, cases, payload, seal } from './files.js';

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Where pictures go, if they are wanted. */
const PICTURES = process.env['NANOZK_PICTURES'];
/** Bytes that the page may have, compressed. */
const MOST_BYTES = 200_000;
const TOKENIZER = 'onnx-models/kjvgpt-d64-l4/tokenizer.json';
const WAIT = { timeout: 60_000 };

const dir = mkdtempSync(join(tmpdir(), 'nanozk-page-'));
let built = '';

beforeAll(async () => {
  await build({ root: ROOT, logLevel: 'error', build: { outDir: join(dir, 'dist') } });
  built = readFileSync(join(dir, 'dist/index.html'), 'utf8');
}, WAIT.timeout);

afterAll(() => rmSync(dir, { recursive: true }));

test('the page is small, and the one that reports are made of', () => {
  expect(gzipSync(built).length).toBeLessThan(MOST_BYTES);
  const kept = readFileSync(join(ROOT, '../runtime/src/report/page.html'), 'utf8');
  expect(kept === built, 'make it anew with `npm run page`').toBe(true);
});

/** A file with the payload of the corpus of this name, or of its case. */
function file(name: string, kind: typeof VERIFIER | typeof PROOF, bytes: Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, seal(kind, bytes));
  return path;
}

const honest = (name: string): [string, string] => [
  file(`${name}-verifier.nanozk`, VERIFIER, payload(`${name}.verifier`)),
  file(`${name}-proof.nanozk`, PROOF, payload(`${name}.proof`)),
];

const forged = (name: string): [string, string] => {
  const found = cases.find((c) => c.name.startsWith(name))!;
  return [
    file(`${name.replaceAll(/\W/g, '-')}-verifier.nanozk`, VERIFIER, assemble(found.verifier)),
    file(`${name.replaceAll(/\W/g, '-')}-proof.nanozk`, PROOF, assemble(found.proof)),
  ];
};

describe.skipIf(!existsSync(CHROMIUM))('in Chromium', () => {
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    page = await browser.newPage({ viewport: { width: 900, height: 700 } });
    page.on('pageerror', (error) => errors.push(String(error)));
  }, WAIT.timeout);

  afterAll(async () => {
    await browser?.close();
    expect(errors).toEqual([]);
  });

  /** Opens the page and gives it files; the verdict's title. */
  async function verdict([verifier, proof]: [string, string], options: string[] = [], challenge?: string): Promise<string> {
    await page.goto(pathToFileURL(join(dir, 'dist/index.html')).href);
    if (options.length > 0) await page.click('summary');
    for (const id of options) await page.check(`#${id}`);
    await page.setInputFiles('#tokenizer', join(ROOT, '..', TOKENIZER));
    if (challenge !== undefined) await page.setInputFiles('#challenge', challenge);
    await page.setInputFiles('#verifier', verifier);
    await page.setInputFiles('#proof', proof);
    await page.locator('.banner').first().waitFor(WAIT);
    return (await page.locator('.banner h2').allTextContents()).join(', ');
  }

  async function picture(name: string): Promise<void> {
    if (PICTURES === undefined) return;
    await page.locator('#result').evaluate((element) => element.scrollIntoView());
    await page.screenshot({ path: join(PICTURES, `${name}.png`), animations: 'disabled' });
  }

  const text = async () => (await page.locator('#result').textContent()) ?? '';

  test('a good proof, with prompt and answer', WAIT, async () => {
    expect(await verdict(honest('answer'))).toBe('Verified');
    const shown = await text();
    expect(shown).toContain('likeliest choice');
    expect(shown).toContain('114 bits');
    expect(shown).toContain('Midnight');
    expect(await page.locator('.layers .proven').count()).toBeGreaterThan(2);
    await picture('browser-good');
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.setViewportSize({ width: 390, height: 700 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    expect(wide, 'nothing stands out of a small screen').toBe(false);
    await picture('browser-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 900, height: 700 });
  });

  test('a tampered proof', WAIT, async () => {
    expect(await verdict(forged('public fields: value + 1'))).toBe('Not verified');
    expect(await text()).toContain('Do not rely on the answer');
    await picture('browser-tampered');
  });

  test('files in each other’s place, and one that is none', WAIT, async () => {
    const [verifier, proof] = honest('single');
    expect(await verdict([proof, verifier])).toBe('Not verified');
    expect(await text()).toContain('each other’s place');
    expect(await verdict([verifier, join(ROOT, 'package.json')])).toBe('Not verified');
    expect(await text()).toContain('not a nanozk file');
  });

  test('a partial proof', WAIT, async () => {
    expect(await verdict(forged('a dropped layer'), ['allow-unsafe'])).toBe('Not verified');
    expect(await text()).toContain('leaves layers out');
    expect(await verdict(forged('a dropped layer'), ['allow-unsafe', 'allow-partial'])).toContain('Some layers verified');
    expect(await page.locator('.layers .unproven').count()).toBe(1);
    await picture('browser-partial');
  });

  test('a proof of the layers that were drawn', WAIT, async () => {
    const { challenge } = cases.find((c) => c.name === 'audits: honest')!;
    const path = join(dir, 'challenge.json');
    writeFileSync(path, challenge!);
    expect(await verdict(forged('audits: honest'), ['allow-unsafe'], path)).toContain('Audited');
    expect(await page.locator('.layers .proven').count()).toBe(2);
    expect(await verdict(forged('audits: another commitment'), ['allow-unsafe'], path)).toBe('Not verified');
    expect(await text()).toContain('drawn for another answer');
  });

  test('an SRS of no ceremony', WAIT, async () => {
    expect(await verdict(honest('unsafe'))).toBe('Not verified');
    expect(await page.locator('.alarm').count()).toBe(1);
    expect(await verdict(honest('unsafe'), ['allow-unsafe'])).toBe('Unsafe SRS, Verified');
    await picture('browser-unsafe');
  });

  test('the keyboard alone', WAIT, async () => {
    await verdict(honest('single'));
    const focus = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.tagName);
    expect(await focus()).toBe('result');
    await page.locator('#verifier').focus();
    const visited: (string | undefined)[] = [];
    for (let i = 0; i < 5; i += 1) {
      visited.push(await focus());
      await page.keyboard.press('Tab');
    }
    expect(visited).toEqual(['verifier', 'proof', 'tokenizer', 'challenge', 'SUMMARY']);
    await page.keyboard.press('Enter');
    expect(await page.locator('#verify').isEnabled()).toBe(true);
  });

  test('files that the address names, and files that are dropped', WAIT, async () => {
    honest('single');
    const server = createServer(({ url }, response) => {
      const path = join(dir, new URL(url!, 'http://localhost').pathname);
      if (existsSync(path)) response.end(readFileSync(path));
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const open = async (query: string) => {
      await page.goto(`${base}dist/index.html?${query}`);
      return page.locator('.banner h2').first().textContent(WAIT);
    };
    const files = `verifier=${base}single-verifier.nanozk&proof=${base}single-proof.nanozk`;
    expect(await open(files)).toBe('Verified');
    expect(await open(`${files}&model-id=${'0'.repeat(64)}`)).toBe('Not verified');
    expect(await text()).toContain('not of the model that you expect');
    expect(await open(`verifier=${base}none`)).toBe('Not read');
    await page.goto(`${base}dist/index.html`);
    await page.evaluate(async (address) => {
      const transfer = new DataTransfer();
      for (const name of ['proof', 'verifier']) {
        const response = await fetch(`${address}single-${name}.nanozk`);
        transfer.items.add(new File([await response.arrayBuffer()], `${name}.nanozk`));
      }
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }, base);
    expect(await page.locator('.banner h2').first().textContent(WAIT)).toBe('Verified');
    server.close();
  });

  test('a report verifies itself', WAIT, async () => {
    const holder = (slot: string) => {
      const content = Buffer.from(readFileSync(join(dir, `single-${slot}.nanozk`))).toString('base64');
      return `<script type="text/plain" data-file="${slot}" data-name="${slot}.nanozk">${content}</script>`;
    };
    const report = built.replace('<!-- files of a report -->', `${holder('verifier')}${holder('proof')}`);
    writeFileSync(join(dir, 'report.html'), report);
    await page.goto(pathToFileURL(join(dir, 'report.html')).href);
    expect(await page.locator('.banner h2').first().textContent(WAIT)).toBe('Verified');
    expect(await page.locator('a[download]').count()).toBe(2);
    await picture('browser-report');
  });
});

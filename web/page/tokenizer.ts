/** Tokens to text, with a `tokenizer.json` of Hugging Face or a plain vocabulary. */

import { blake2b } from '@noble/hashes/blake2.js';
import { hex } from '../verifier/hash.js';

export interface Tokenizer {
  /** BLAKE2b-256 of the file, which a model id may cover. */
  digest: string;
  decode(tokens: number[]): string;
}

type Json = { [key: string]: unknown };

/** Tokens by id from `{"token": id}`, `["token", ..]` or the `[["token", score], ..]` of a unigram model. */
function vocabulary(vocab: unknown): Map<number, string> {
  const out = new Map<number, string>();
  if (Array.isArray(vocab)) {
    vocab.forEach((entry: unknown, id) => out.set(id, String(Array.isArray(entry) ? entry[0] : entry)));
  } else if (typeof vocab === 'object' && vocab !== null) {
    for (const [token, id] of Object.entries(vocab)) if (typeof id === 'number') out.set(id, token);
  }
  return out;
}

/** The bytes that the characters of byte-level tokens stand for. */
function byteAlphabet(): Map<string, number> {
  const out = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte += 1) {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    out.set(String.fromCharCode(printable ? byte : next), byte);
    if (!printable) next += 1;
  }
  return out;
}

/** Types of all decoders, those inside sequences included. */
function decoders(decoder: unknown): string[] {
  if (typeof decoder !== 'object' || decoder === null) return [];
  const { type, decoders: inner } = decoder as Json;
  return [String(type), ...(Array.isArray(inner) ? inner.flatMap(decoders) : [])];
}

/** Reads a file; throws where it is no tokenizer. */
export function readTokenizer(file: Uint8Array): Tokenizer {
  const json = JSON.parse(new TextDecoder().decode(file)) as Json | unknown[];
  const model = (Array.isArray(json) ? undefined : json['model']) as Json | undefined;
  const tokens = vocabulary(model === undefined ? json : model['vocab']);
  const added = Array.isArray(json) ? [] : ((json['added_tokens'] ?? []) as { id: number; content: string }[]);
  for (const { id, content } of added) tokens.set(id, content);
  if (tokens.size === 0) throw new Error('no vocabulary');
  const kinds = Array.isArray(json) ? [] : decoders(json['decoder']);
  const join = kinds.includes('ByteLevel') ? bytes : kinds.includes('WordPiece') ? pieces : plain;
  return {
    digest: hex(blake2b(file, { dkLen: 32 })),
    decode: (ids) => join(ids.map((id) => tokens.get(id) ?? `<${id}>`)),
  };
}

const ALPHABET = byteAlphabet();

function bytes(tokens: string[]): string {
  const out = [...tokens.join('')].flatMap((c) => {
    const byte = ALPHABET.get(c);
    return byte === undefined ? [...new TextEncoder().encode(c)] : [byte];
  });
  return new TextDecoder().decode(Uint8Array.from(out));
}

function pieces(tokens: string[]): string {
  return tokens.map((t, i) => (t.startsWith('##') ? t.slice(2) : i > 0 ? ` ${t}` : t)).join('');
}

/** Joined, with the spaces and bytes of SentencePiece. */
function plain(tokens: string[]): string {
  const out: number[] = [];
  for (const token of tokens) {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(token)?.[1];
    if (byte !== undefined) out.push(Number.parseInt(byte, 16));
    else out.push(...new TextEncoder().encode(token.replaceAll('\u2581', ' ')));
  }
  return new TextDecoder().decode(Uint8Array.from(out));
}

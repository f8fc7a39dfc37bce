/**
 * Reads postcard (docs/file-formats.md): integers as varints, signed ones zigzag, sequences behind their length. No count
 * that stands in the bytes is believed before as many bytes are there.
 */

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const MAX_U64 = (1n << 64n) - 1n;

/** The bytes are not what is read from them. */
export class Malformed extends Error {}

export class Reader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** Bytes that are left. */
  get left(): number {
    return this.bytes.length - this.at;
  }

  /** Refuses bytes that nothing has read. */
  end(): void {
    if (this.left > 0) throw new Malformed(`${this.left} unread bytes`);
  }

  u8(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw new Malformed('it ends early');
    this.at += 1;
    return byte;
  }

  /** `count` bytes as they are. */
  raw(count: number): Uint8Array {
    if (count > this.left) throw new Malformed('it ends early');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** Seven bits in each byte, the lowest first; the fifth byte holds four. */
  u32(): number {
    let value = 0;
    for (let i = 0; i < 5; i += 1) {
      const byte = this.u8();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) {
        if (value > 0xffffffff) break;
        return value;
      }
    }
    throw new Malformed('a number of more than 32 bits');
  }

  /** The same with up to ten bytes. */
  u64(): bigint {
    let value = 0n;
    for (let i = 0n; i < 10n; i += 1n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << (7n * i);
      if (byte < 0x80) {
        if (value > MAX_U64) break;
        return value;
      }
    }
    throw new Malformed('a number of more than 64 bits');
  }

  i32(): number {
    const code = this.u32();
    return code % 2 === 0 ? code / 2 : -(code + 1) / 2;
  }

  i64(): bigint {
    const code = this.u64();
    return code & 1n ? -((code + 1n) >> 1n) : code >> 1n;
  }

  f64(): number {
    const bytes = this.raw(8);
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, true);
  }

  bool(): boolean {
    const byte = this.u8();
    if (byte > 1) throw new Malformed('a truth value that is neither 0 nor 1');
    return byte === 1;
  }

  /** The index of a variant, of which there are `count`. */
  variant(count: number): number {
    const index = this.u32();
    if (index >= count) throw new Malformed(`variant ${index} of ${count}`);
    return index;
  }

  /** The length of a sequence. Every element has a byte at least. */
  private length(): number {
    const count = this.u64();
    if (count > BigInt(this.left)) throw new Malformed('it ends early');
    return Number(count);
  }

  byteString(): Uint8Array {
    return this.raw(this.length());
  }

  text(): string {
    try {
      return UTF8.decode(this.byteString());
    } catch (error) {
      if (error instanceof Malformed) throw error;
      throw new Malformed('a text that is not UTF-8');
    }
  }

  list<T>(read: () => T): T[] {
    const count = this.length();
    const out: T[] = [];
    for (let i = 0; i < count; i += 1) out.push(read());
    return out;
  }

  optional<T>(read: () => T): T | undefined {
    return this.bool() ? read() : undefined;
  }

  u32s(): number[] {
    return this.list(() => this.u32());
  }
}

import { expect, test } from 'vitest';
import { Malformed, Reader } from '../verifier/reader.js';

function reader(...bytes: number[]): Reader {
  return new Reader(Uint8Array.from(bytes));
}

test('integers are varints, signed ones zigzag', () => {
  expect(reader(0xac, 0x02).u32()).toBe(300);
  expect(reader(0xff, 0xff, 0xff, 0xff, 0x0f).u32()).toBe(0xffffffff);
  expect(reader(0x80, 0x00).u32()).toBe(0);
  expect([reader(0).i32(), reader(1).i32(), reader(2).i32(), reader(3).i32()]).toEqual([0, -1, 1, -2]);
  expect(reader(0xff, 0xff, 0xff, 0xff, 0x0f).i32()).toBe(-(2 ** 31));
  expect(reader(...new Array(9).fill(0xff), 1).u64()).toBe(2n ** 64n - 1n);
  expect(reader(...new Array(9).fill(0xff), 1).i64()).toBe(-(2n ** 63n));
  expect(reader(...new Array(9).fill(0xff).fill(0xfe, 0, 1), 1).i64()).toBe(2n ** 63n - 1n);
});

test('numbers beyond their width are refused', () => {
  for (const last of [0x10, 0x8f]) expect(() => reader(0xff, 0xff, 0xff, 0xff, last, 0).u32()).toThrow(Malformed);
  for (const last of [2, 0x81]) expect(() => reader(...new Array(9).fill(0xff), last, 0).u64()).toThrow(Malformed);
  expect(() => reader(2).bool()).toThrow(Malformed);
  expect(() => reader(5).variant(5)).toThrow(Malformed);
  expect(() => reader(0x80).u32()).toThrow(Malformed);
});

test('no length is believed before its bytes are there', () => {
  const huge = [...new Array(9).fill(0xff), 1];
  expect(() => reader(...huge).list(() => 0)).toThrow(Malformed);
  expect(() => reader(...huge, 1, 2, 3).byteString()).toThrow(Malformed);
  expect(() => reader(4, 1, 2, 3).byteString()).toThrow(Malformed);
  expect(reader(3, 1, 2, 3).u32s()).toEqual([1, 2, 3]);
  expect(() => reader(2, 0xff, 0xfe).text()).toThrow(Malformed);
  expect(reader(4, 0xef, 0xbb, 0xbf, 0x41).text()).toBe('\ufeffA');
  expect(() => reader(1).end()).toThrow(Malformed);
});

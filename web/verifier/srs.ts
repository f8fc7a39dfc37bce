/** Public ceremonies, known by the compressed `[s]_2` of their SRS. */

export interface Ceremony {
  name: string;
  /** log2 of the number of powers of s that are public. */
  logPowers: number;
  s2: string;
}

/** The most powers that an unknown SRS is taken to have. */
export const UNKNOWN_LOG_POWERS = 26;

const CEREMONIES: Ceremony[] = [
  {
    name: 'Ethereum KZG, 2^12 powers',
    logPowers: 12,
    s2:
      'b5bfd7dd8cdeb128843bc287230af38926187075cbfbefa81009a2ce615ac53d2914e5870cb452d2afaaab24f3499f72' +
      '185cbfee53492714734429b7b38608e23926c911cceceac9a36851477ba4c60b087041de621000edc98edada20c1def2',
  },
  {
    name: 'Midnight',
    logPowers: 25,
    s2:
      'a4bbe1a24fcc4f988c6ef268d0c1160eac0a0c4f53d80bd74f3d2e4667be27408625a83825354e27c70859883102eb43' +
      '07acb569b3187c0fd1993980aa52a6e9e2080b9697fab96abd5c5f1c3b988256f2d99366f1bbccf13cf0e20702fee18c',
  },
];

/** The ceremony that an SRS comes from; `undefined` for one whose maker can forge proofs. */
export function ceremonyOf(s2: string): Ceremony | undefined {
  return CEREMONIES.find((ceremony) => ceremony.s2 === s2);
}

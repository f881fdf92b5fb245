import { closeFrame, frame } from '../../packages/gateway/test/support/raw.ts';

const KIB = 1024;

/** What is sent on a socket of its own, and the close code that answers it. */
interface Ending {
  readonly attack: number;
  readonly name: string;
  readonly sent: readonly Buffer[];
  readonly code: number;
}

const open = (opcode: number, payload: string | Uint8Array): Buffer => frame(opcode, payload, { fin: false });
/** Of a message that has no end. */
export const fragments = (count: number, payload: string): Buffer[] => Array.from({ length: count }, (_, index) => open(index === 0 ? 1 : 0, payload));

export const ENDINGS: readonly Ending[] = [
  { attack: 27, name: 'a frame without a mask', sent: [frame(1, 'a', { mask: false })], code: 1002 },
  { attack: 28, name: 'a compressed frame where compression was declined', sent: [frame(1, 'a', { rsv: 4 })], code: 1002 },
  { attack: 28, name: 'RSV2', sent: [frame(1, 'a', { rsv: 2 })], code: 1002 },
  { attack: 28, name: 'RSV3', sent: [frame(1, 'a', { rsv: 1 })], code: 1002 },
  { attack: 28, name: 'RSV1 on a continuation', sent: [open(1, 'a'), frame(0, 'b', { rsv: 4 })], code: 1002 },
  { attack: 28, name: 'RSV1 on a ping', sent: [frame(9, '', { rsv: 4 })], code: 1002 },
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => ({ attack: 29, name: `opcode ${opcode}`, sent: [frame(opcode, 'a')], code: 1002 })),
  { attack: 30, name: 'a ping in fragments', sent: [open(9, 'a')], code: 1002 },
  { attack: 30, name: 'a ping of 126 bytes', sent: [frame(9, 'a'.repeat(126))], code: 1002 },
  { attack: 31, name: 'a continuation of nothing', sent: [frame(0, 'a')], code: 1002 },
  { attack: 31, name: 'a text within a text', sent: [open(1, 'a'), frame(1, 'b')], code: 1002 },
  { attack: 32, name: 'broken UTF-8', sent: [frame(1, Buffer.from([0xc3, 0x28]))], code: 1007 },
  { attack: 32, name: 'a surrogate', sent: [frame(1, Buffer.from([0xed, 0xa0, 0x80]))], code: 1007 },
  { attack: 32, name: 'an overlong form', sent: [frame(1, Buffer.from([0xc0, 0xaf]))], code: 1007 },
  { attack: 32, name: 'a text that is cut within a code point', sent: [open(1, Buffer.from([0xe2])), frame(0, Buffer.from([0x82]))], code: 1007 },
  { attack: 33, name: 'a byte more than a message may have', sent: [frame(2, Buffer.alloc(64 * KIB + 1))], code: 1009 },
  { attack: 33, name: 'a header that claims 2^53 bytes', sent: [frame(2, '', { length: 2 ** 53 })], code: 1009 },
  { attack: 33, name: 'a header that claims 2^62 bytes', sent: [frame(2, '', { length: 2 ** 62 })], code: 1009 },
  { attack: 34, name: 'two fragments that are too large together', sent: [open(2, Buffer.alloc(40 * KIB)), frame(0, Buffer.alloc(40 * KIB))], code: 1009 },
  { attack: 35, name: '16,385 fragments of a byte', sent: [Buffer.concat(fragments(16_385, 'a'))], code: 1008 },
  { attack: 35, name: '16,385 empty fragments', sent: [Buffer.concat(fragments(16_385, ''))], code: 1008 },
  ...[0, 999, 1004, 1005, 1006, 1015, 2999, 5000].map((code) => ({ attack: 38, name: `a close with ${code}`, sent: [closeFrame(code)], code: 1002 })),
  { attack: 38, name: 'a close with one byte', sent: [frame(8, 'a')], code: 1002 },
  { attack: 38, name: 'a close whose reason is broken UTF-8', sent: [frame(8, Buffer.from([3, 232, 0xff]))], code: 1007 },
  ...[3000, 3999, 4999].map((code) => ({ attack: 39, name: `a close with ${code}`, sent: [closeFrame(code)], code })),
  { attack: 46, name: 'a deflate bomb', sent: [frame(2, Buffer.alloc(51 * KIB, 'x'), { rsv: 4 })], code: 1002 },
  { attack: 47, name: 'bytes that are called compressed, and are not', sent: [frame(1, '\u0000\u0001\u0002garbage', { rsv: 4 })], code: 1002 },
];

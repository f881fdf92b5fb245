import { expect } from 'vitest';

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const error = (code: string, ref?: unknown): object => ({ type: 'error', code, ...(ref === undefined ? {} : { ref }) });

/** The attack, its name, the frame, and the answer, on a `/socket` whose rooms `kept.>` keep their messages. */
export const ANSWERS: readonly (readonly [attack: number, name: string, sent: string, answer: object])[] = [
  [56, 'what is not JSON', 'hello', error('bad_json')],
  [56, 'an empty text', '', error('bad_json')],
  [56, 'null', 'null', error('bad_frame')],
  [56, 'a list', '[]', error('bad_frame')],
  [56, 'a number', '5', error('bad_frame')],
  [56, 'a byte order mark', '\ufeff{"type":"ping"}', error('bad_json')],
  [56, 'a type that is no text', '{"type":5}', error('bad_frame')],
  [56, 'a type that nobody knows', '{"type":"dance","ref":1}', error('unknown_type', 1)],
  [57, '20,000 brackets', '['.repeat(20_000), error('bad_json')],
  [57, '20,000 levels', nested(20_000), error('bad_json')],
  [57, '33 levels of data', `{"type":"publish","room":"r","data":${nested(33)}}`, error('bad_json')],
  [58, 'an infinite ref', '{"type":"ping","ref":1e400}', error('bad_frame')],
  [58, 'a ref of 20 digits', '{"type":"leave","room":"r","ref":12345678901234567890}', error('bad_frame')],
  [58, 'a ref of -0', '{"type":"leave","room":"r","ref":-0}', error('not_joined', 0)],
  [59, 'a prototype', '{"__proto__":{"type":"ping"},"ref":1}', error('bad_frame', 1)],
  [59, 'a constructor', '{"type":"leave","room":"r","constructor":{"prototype":{"room":"x"}},"ref":1}', error('not_joined', 1)],
  [60, 'a room called __proto__', '{"type":"join","room":"__proto__","ref":1}', error('not_allowed', 1)],
  [60, 'a room called constructor', '{"type":"join","room":"constructor","ref":1}', { type: 'joined', room: 'constructor', ref: 1 }],
  [60, 'a room called toString', '{"type":"join","room":"toString","ref":1}', { type: 'joined', room: 'toString', ref: 1 }],
  [60, 'a type called constructor', '{"type":"constructor"}', error('unknown_type')],
  [64, 'a room of an inbox', '{"type":"join","room":"p.node!1","ref":1}', error('bad_room', 1)],
  [64, 'a room with a brace', '{"type":"join","room":"{r}:live","ref":1}', error('bad_room', 1)],
  [72, 'a publish into a room of ours', '{"type":"publish","room":"_worker.app","text":"working","ref":1}', error('not_allowed', 1)],
  [72, 'a type of workers', '{"type":"websocket.disconnect","ref":1}', error('unknown_type', 1)],
  [74, 'a position that nobody gave', '{"type":"join","room":"kept.x","since":"12","ref":1}', error('bad_position', 1)],
  [
    74,
    'a position of another epoch',
    '{"type":"join","room":"kept.y","since":"none:0","ref":1}',
    expect.objectContaining({ type: 'joined', recovered: false }),
  ],
];

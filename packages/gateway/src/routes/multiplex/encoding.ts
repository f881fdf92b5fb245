import { isUtf8 } from 'node:buffer';
import type { RoomMessage } from '@busgate/layer';
import type { Encoder, Encoding } from '../../hub/encoding.ts';
import { type Sheet, textSheet } from '../../session/link.ts';
import { isDeeperThan, MAX_DEPTH } from './source.ts';

const CLOSE_BRACE = Buffer.from('}');

/** A gap is told to fetch again after a time spread over this much, and as much more for each member here, in milliseconds. */
const GAP_SPREAD_MS = 100;
const GAP_SPREAD_A_MEMBER_MS = 1;
const GAP_SPREAD_MAX_MS = 10_000;

/** `message` frames: the payload's bytes stand in `data` as they are, where they are JSON. */
class MessageEncoder implements Encoder {
  readonly #room: string;
  readonly #head: Buffer;

  constructor(room: string) {
    this.#room = room;
    this.#head = Buffer.from(`{"type":"message","room":${JSON.stringify(room)},"data":`);
  }

  message({ payload, position }: RoomMessage): Sheet {
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    const text = isUtf8(bytes) ? bytes.toString() : undefined;
    if (text === undefined) return this.#quoted('base64', bytes.toString('base64'), position);
    if (!isJson(text)) return this.#quoted('text', text, position);
    const tail = position === undefined ? CLOSE_BRACE : Buffer.from(`,"position":${JSON.stringify(position)}}`);
    return { binary: false, parts: [this.#head, bytes, tail], length: this.#head.length + bytes.length + tail.length, position };
  }

  gap(members: number): Sheet {
    const spread = Math.min(GAP_SPREAD_MAX_MS, GAP_SPREAD_MS + members * GAP_SPREAD_A_MEMBER_MS);
    return textSheet(JSON.stringify({ type: 'gap', room: this.#room, after: Math.round(Math.random() * spread) }));
  }

  #quoted(member: 'text' | 'base64', value: string, position: string | undefined): Sheet {
    return textSheet(JSON.stringify({ type: 'message', room: this.#room, [member]: value, position }), position);
  }
}

export const MULTIPLEX_ENCODING: Encoding = {
  encoder: (room) => new MessageEncoder(room),
};

/** Whether it may stand in a frame as it is: JSON, and no deeper than a client need bear. */
function isJson(text: string): boolean {
  if (isDeeperThan(text, MAX_DEPTH)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

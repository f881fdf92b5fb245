import { isUtf8 } from 'node:buffer';
import type { RoomMessage } from '@busgate/layer';
import type { Encoder, Encoding } from '../../hub/encoding.ts';
import { type Sheet, textSheet } from '../../session/link.ts';
import { isJson } from './json.ts';
import { MAX_DEPTH } from './source.ts';

const CLOSE_BRACE = Buffer.from('}');

/** A gap is told to fetch again after a time spread over this much, and as much more for each member here, in milliseconds. */
const GAP_SPREAD_MS = 100;
const GAP_SPREAD_A_MEMBER_MS = 1;
const GAP_SPREAD_MAX_MS = 10_000;

/** `message` frames: the payload's bytes stand in `data` as they are, where they are JSON and no deeper than a client need bear. */
class MessageEncoder implements Encoder {
  readonly #room: string;
  readonly #dataHead: Buffer;
  readonly #textHead: Buffer;
  readonly #base64Head: Buffer;

  constructor(room: string) {
    const head = (member: string): Buffer => Buffer.from(`{"type":"message","room":${JSON.stringify(room)},"${member}":`);
    this.#room = room;
    this.#dataHead = head('data');
    this.#textHead = head('text');
    this.#base64Head = head('base64');
  }

  message({ payload, position }: RoomMessage): Sheet {
    if (!isUtf8(payload)) return spliced(this.#base64Head, Buffer.from(`"${bufferOf(payload).toString('base64')}"`), position);
    if (isJson(payload, MAX_DEPTH)) return spliced(this.#dataHead, payload, position);
    return spliced(this.#textHead, Buffer.from(JSON.stringify(bufferOf(payload).toString())), position);
  }

  gap(members: number): Sheet {
    return gapSheet(this.#room, members);
  }
}

export const MULTIPLEX_ENCODING: Encoding = {
  encoder: (room) => new MessageEncoder(room),
};

/** One message of the room for one session, of a history that is given to many: what is known of it is kept for as long as the message is. */
export function keptSheet(encoder: Encoder, message: RoomMessage): Sheet {
  const known = KEPT.get(message);
  if (known !== undefined) return known;
  const sheet = encoder.message(message);
  KEPT.set(message, sheet);
  return sheet;
}

/** A message object is of one room. */
const KEPT = new WeakMap<RoomMessage, Sheet>();

/** To one of so many sessions that are told at the same time. */
export function gapSheet(room: string, members: number): Sheet {
  const spread = Math.min(GAP_SPREAD_MAX_MS, GAP_SPREAD_MS + members * GAP_SPREAD_A_MEMBER_MS);
  return textSheet(JSON.stringify({ type: 'gap', room, after: Math.round(Math.random() * spread) }));
}

function spliced(head: Buffer, value: Uint8Array, position: string | undefined): Sheet {
  const tail = position === undefined ? CLOSE_BRACE : Buffer.from(`,"position":${JSON.stringify(position)}}`);
  return { binary: false, parts: [head, value, tail], length: head.length + value.length + tail.length, position };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

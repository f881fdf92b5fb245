import type { RoomMessage } from '@busgate/layer';
import { type Content, kindOf, valueAs } from '../../content.ts';
import type { Encoder, Encoding } from '../../hub/encoding.ts';
import { type EventName, eventSheet, type Sheet, textSheet } from '../../session/link.ts';
import { gapOf } from '../gap.ts';

const CLOSE_BRACE = Buffer.from('}');

/** `message` frames: the payload's bytes stand in `data` as they are, where they are JSON and no deeper than a client need bear. */
class MessageEncoder implements Encoder {
  readonly #room: string;
  readonly #heads: Readonly<Record<Content, Buffer>>;

  constructor(room: string) {
    const head = (member: Content): Buffer => Buffer.from(`{"type":"message","room":${JSON.stringify(room)},"${member}":`);
    this.#room = room;
    this.#heads = { data: head('data'), text: head('text'), base64: head('base64') };
  }

  message({ payload, position }: RoomMessage): Sheet {
    const content = kindOf(payload);
    return spliced(this.#heads[content], valueAs(content, payload), position);
  }

  gap(members: number): Sheet {
    return gapSheet(this.#room, members);
  }

  missed(count: number): Sheet {
    return framedEvent('missed', { room: this.#room, count });
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

/** The same as text, of a single message. */
export function messageText(room: string, message: RoomMessage): string {
  return Buffer.concat(new MessageEncoder(room).message(message).parts).toString();
}

/** A message object is of one room. */
const KEPT = new WeakMap<RoomMessage, Sheet>();

/** To one of so many sessions that are told at the same time. */
export function gapSheet(room: string, members: number, cursor?: string): Sheet {
  return framedEvent('gap', gapOf(room, members), cursor);
}

/** A frame that is an event of its own on wires that name them. */
export function framedEvent(event: EventName, data: object, cursor?: string): Sheet {
  return { ...eventSheet(event, data, cursor), ...textSheet(JSON.stringify({ type: event, ...data }), cursor) };
}

function spliced(head: Buffer, value: Uint8Array, position: string | undefined): Sheet {
  const tail = position === undefined ? CLOSE_BRACE : Buffer.from(`,"position":${JSON.stringify(position)}}`);
  // Where it stands is in the frame.
  return { binary: false, parts: [head, value, tail], length: head.length + value.length + tail.length, position: undefined };
}

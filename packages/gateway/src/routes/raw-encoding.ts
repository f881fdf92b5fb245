import { isUtf8 } from 'node:buffer';
import type { RoomMessage } from '@busgate/layer';
import type { RoomRouteConfig } from '../config/route-settings.ts';
import type { Encoder, Encoding } from '../hub/encoding.ts';
import { gapOf } from './gap.ts';
import { eventSheet, type Sheet } from '../session/link.ts';

type Frames = RoomRouteConfig['frames'];
type OnGap = RoomRouteConfig['onGap'];

const SHEETS: Readonly<Record<Frames, (message: RoomMessage) => Sheet>> = {
  auto: ({ payload, position }) => sheet(!isUtf8(payload), payload, position),
  // A text frame must be UTF-8 (RFC 6455 section 5.6), or the client ends the connection.
  text: ({ payload, position }) => sheet(false, isUtf8(payload) ? payload : Buffer.from(Buffer.from(payload).toString()), position),
  binary: ({ payload, position }) => sheet(true, payload, position),
};

const GAPS = { stay: 'silent', close: 'close' } as const;

/** Each frame is a payload as it stands. */
class RawEncoding implements Encoding {
  readonly #frames: Frames;
  readonly #onGap: OnGap;

  constructor(frames: Frames, onGap: OnGap) {
    this.#frames = frames;
    this.#onGap = onGap;
  }

  encoder(room: string, marks = false): Encoder {
    const gap = GAPS[this.#onGap];
    return {
      message: SHEETS[this.#frames],
      gap: marks && gap === 'silent' ? (members, position) => eventSheet('gap', gapOf(room, members), position) : () => gap,
      missed: marks ? (count) => eventSheet('missed', { room, count }) : () => 'silent',
    };
  }
}

/** One for each way there is, so that routes that look alike share their frames. */
const ENCODINGS: Readonly<Record<OnGap, Readonly<Record<Frames, Encoding>>>> = {
  stay: { auto: new RawEncoding('auto', 'stay'), text: new RawEncoding('text', 'stay'), binary: new RawEncoding('binary', 'stay') },
  close: { auto: new RawEncoding('auto', 'close'), text: new RawEncoding('text', 'close'), binary: new RawEncoding('binary', 'close') },
};

export function rawEncoding(frames: Frames, onGap: OnGap): Encoding {
  return ENCODINGS[onGap][frames];
}

function sheet(binary: boolean, payload: Uint8Array, position: string | undefined): Sheet {
  return { binary, parts: [payload], length: payload.length, position };
}

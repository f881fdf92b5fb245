import { type ChannelLayer, isName, type RoomEvent } from '@busgate/layer';
import { messageText } from '../../routes/multiplex/encoding.ts';
import type { ApiCall } from '../api.ts';
import type { OpsReader, OpsStream } from '../call.ts';
import { OpsError } from '../errors.ts';
import { publishFailure } from '../../layer-errors.ts';
import { TAP_RATE } from '../written.ts';

/** Messages a second that a tap shows. */
const DEFAULT_RATE = 50;
/** So many taps at a time; each costs a copy of what it shows. */
const MOST_TAPS = 32;
const SECOND_MS = 1000;

const HEADERS = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' };

/** `GET /api/tap/<room>`: live messages as an event stream, as frames of a multiplex route; what is more than `rate` a second, or than the reader takes, is counted and left out. */
export function tapCall(layer: Pick<ChannelLayer, 'subscribe'>): ApiCall {
  const taps = new Set<Tap>();
  return {
    method: 'GET',
    path: '/api/tap/:room',
    async serve({ params: { room = '' }, query }) {
      if (!isName(room)) throw new OpsError('bad_room');
      const rate = rateOf(query.get('rate'));
      if (taps.size >= MOST_TAPS) throw new OpsError('full');
      const tap = new Tap(room, rate, () => taps.delete(tap));
      taps.add(tap);
      try {
        await tap.open(layer);
        return tap;
      } catch (error) {
        taps.delete(tap);
        throw publishFailure(error) === 'internal' ? error : new OpsError('away');
      }
    },
  };
}

/** One reader of a room's live messages. The room is never held up for it: what it does not take is skipped. */
class Tap implements OpsStream {
  readonly status = 200;
  readonly headers = HEADERS;
  readonly #room: string;
  readonly #rate: number;
  readonly #closed: () => void;
  #subscription: Awaited<ReturnType<ChannelLayer['subscribe']>> | undefined;
  #reader: OpsReader | undefined;
  #timer: NodeJS.Timeout | undefined;
  #shown = 0;
  #skipped = 0;

  constructor(room: string, rate: number, closed: () => void) {
    this.#room = room;
    this.#rate = rate;
    this.#closed = closed;
  }

  /** Rejects as a subscription does. */
  async open(layer: Pick<ChannelLayer, 'subscribe'>): Promise<void> {
    this.#subscription = await layer.subscribe(this.#room, (event) => this.#take(event));
  }

  begin(reader: OpsReader): () => void {
    this.#reader = reader;
    reader.write(': live\n\n');
    this.#timer = setInterval(() => this.#endSecond(), SECOND_MS).unref();
    return () => this.#end();
  }

  #take(event: RoomEvent): void {
    if (this.#reader === undefined) return;
    if (event.gap === true) return void this.#reader.write(eventOf('gap', JSON.stringify({ room: this.#room })));
    // What is not shown is not looked at either.
    if (this.#shown < this.#rate && this.#reader.write(eventOf('message', messageText(this.#room, event)))) this.#shown += 1;
    else this.#skipped += 1;
  }

  /** Tells what was left out. A comment shows that the gateway lives. */
  #endSecond(): void {
    const skipped = this.#skipped;
    this.#shown = 0;
    if (this.#reader?.write(skipped === 0 ? ':\n\n' : eventOf('skipped', JSON.stringify({ count: skipped }))) === true) this.#skipped -= skipped;
  }

  #end(): void {
    clearInterval(this.#timer);
    this.#reader = undefined;
    this.#closed();
    void this.#subscription?.close();
  }
}

/** The data is JSON, and so without a line end of its own: what one holds in payloads between values is a space there. */
function eventOf(event: string, json: string): string {
  return `event: ${event}\ndata: ${json.replaceAll(/[\r\n]/g, ' ')}\n\n`;
}

function rateOf(written: string | null): number {
  if (written === null) return DEFAULT_RATE;
  const rate = TAP_RATE.read(written);
  if (rate === undefined) throw new OpsError('bad_request');
  return rate;
}

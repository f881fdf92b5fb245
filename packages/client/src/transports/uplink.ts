import type { LinkEnd } from '../core/policy.ts';
import type { ClientFrame } from '../frames.ts';
import { ask } from './http.ts';
import { endOf } from './probe.ts';
import type { LinkEvents, Target } from './transport.ts';

/** Characters of one request, unless one frame is longer: well below what a gateway takes. */
const BATCH = 32_768;
/** Close code of a WebSocket. */
const TOO_LARGE = 1009;
/** When a gateway that says no more of it is asked again, in milliseconds. */
const AGAIN_MS = 1000;

/** The way up of a session whose stream only comes down: lists of frames, one request after the other, so that they keep their order. */
export class Uplink {
  readonly #target: Target;
  readonly #query: string;
  readonly #signal: AbortSignal;
  readonly #events: LinkEvents;
  readonly #waiting: string[] = [];
  /** Characters that no gateway has taken. */
  buffered = 0;

  constructor(target: Target, session: string, signal: AbortSignal, events: LinkEvents) {
    this.#target = target;
    this.#query = `session=${session}`;
    this.#signal = signal;
    this.#events = events;
  }

  send(frames: readonly ClientFrame[]): void {
    const isBusy = this.buffered > 0;
    for (const frame of frames) this.buffered += (this.#waiting[this.#waiting.length] = JSON.stringify(frame)).length;
    if (!isBusy) void this.#run();
  }

  async #run(): Promise<void> {
    while (this.buffered > 0 && !this.#signal.aborted) {
      let count = 1;
      let size = (this.#waiting[0] as string).length;
      for (let next = this.#waiting[1]; next && size + next.length < BATCH; next = this.#waiting[count]) {
        size += next.length;
        count += 1;
      }
      const list = `[${this.#waiting.slice(0, count).join()}]`;
      const { code, retryAfter } = await ask(this.#target, this.#signal, list, this.#query).then(endOf, () => ({ code: 0, retryAfter: 0 }));
      if (this.#signal.aborted) return;
      if (code === 503 || code === 429) await pause(retryAfter ?? AGAIN_MS, this.#signal);
      else if (code !== 202) return this.#events.ended(endFor(code));
      else {
        this.#waiting.splice(0, count);
        this.buffered -= size;
      }
    }
  }
}

/** Too large is told as on a WebSocket. Where there is no such session, or nobody knows what has become of the frames, another stream is opened. */
function endFor(code: number | undefined): LinkEnd {
  if (code === 413) return { code: TOO_LARGE };
  return code && code !== 404 ? { code } : {};
}

/** For so many milliseconds, or until the signal. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

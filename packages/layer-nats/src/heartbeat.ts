import { Patience } from '@busgate/layer/driver';

const EVERY_MS = 1500;
/** A server of which nothing was read since these were sent is dead: after 4.5 s at most. */
const MOST_UNANSWERED = 2;

/** A connection whose other end may have gone without a word. */
export interface Heard {
  /** Resolves when the server has answered; never, or rejects, where the connection ends before. */
  readonly ping: () => Promise<void>;
  /** How many messages were read so far. */
  readonly read: () => number;
  readonly dead: () => void;
}

/** Pings a server. Whatever is read of it says that it lives: its answer may stand behind more than this process can read in time. */
export class Heartbeat {
  readonly #heard: Heard;
  #unanswered = 0;
  #read = 0;
  #patience: Patience;

  constructor(heard: Heard) {
    this.#heard = heard;
    this.#patience = new Patience(EVERY_MS, () => this.#beat());
  }

  end(): void {
    this.#patience.end();
  }

  #beat(): void {
    const read = this.#heard.read();
    if (read !== this.#read) this.#unanswered = 0;
    this.#read = read;
    if (this.#unanswered === MOST_UNANSWERED) {
      this.#heard.dead();
      return;
    }
    this.#unanswered += 1;
    this.#heard.ping().then(
      () => (this.#unanswered = 0),
      () => undefined,
    );
    this.#patience = new Patience(EVERY_MS, () => this.#beat());
  }
}

/** `worker.ts <subject> <url> <scenario> <its numbers>`: one process of a measurement. It says `ready`, waits for a line, works, and prints one line of JSON. */
import { openLayer } from '@busgate/layer';
import { connect } from 'nats';
import { busgate } from '../layer/busgate.ts';
import { play, type Subject } from '../layer/subject.ts';
import { work, type Begin } from '../rig/work.ts';
import { bare } from './bare.ts';

/** Bytes of a message, and how many are published and not yet delivered at any time. */
const PAYLOAD = new Uint8Array(128).fill(120);
const ON_THEIR_WAY = 64;

/** Publishes to a room that it listens to itself, until that many messages were delivered. */
type Live = (url: string, total: number, begin: Begin) => Promise<number>;

/** Publishes the next message for each that was delivered. */
class Window {
  readonly done: Promise<void>;
  readonly #total: number;
  readonly #publish: () => void;
  readonly #resolve: () => void;
  #published = 0;
  #delivered = 0;

  constructor(total: number, publish: () => void) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolve = resolve;
    this.#total = total;
    this.#publish = publish;
  }

  open(): void {
    for (let message = 0; message < ON_THEIR_WAY; message += 1) this.#next();
  }

  delivered(): void {
    this.#delivered += 1;
    if (this.#delivered === this.#total) this.#resolve();
    this.#next();
  }

  #next(): void {
    if (this.#published === this.#total) return;
    this.#published += 1;
    this.#publish();
  }
}

const live: Readonly<Record<string, Live>> = {
  busgate: async (url, total, begin) => {
    const layer = await openLayer(url);
    const window = new Window(total, () => void layer.publish('bench', PAYLOAD));
    await layer.subscribe('bench', () => window.delivered());
    await begin();
    window.open();
    await window.done;
    return total;
  },

  /** What one writes on `nats` alone: a publish is never confirmed, a loss never told. */
  bare: async (url, total, begin) => {
    const nats = await connect({ servers: url });
    const window = new Window(total, () => nats.publish('busgate.room.bench', PAYLOAD));
    nats.subscribe('busgate.room.bench', { callback: () => window.delivered() });
    await nats.flush();
    await begin();
    window.open();
    await window.done;
    return total;
  },
};

const layers: Readonly<Record<string, Subject>> = { busgate, bare };
const [name = '', url = '', scenario = '', ...numbers] = process.argv.slice(2);
const [run, subject] = [live[name], layers[name]];
if (run === undefined || subject === undefined) throw new Error(`no subject is called ${name}; there are ${Object.keys(live).join(', ')}`);
await work(scenario === 'live' ? (begin) => run(url, Number(numbers[0]), begin) : play(subject, scenario, url, numbers.map(Number)));

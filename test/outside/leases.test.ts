import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { openLayer, type ChannelLayer } from '@busgate/layer';
import { describe, test } from 'vitest';
import { startNats, startRedis, type Broker } from '../support/brokers.ts';
import { Child } from '../support/child.ts';
import { OwnTime } from '../support/own-time.ts';
import { RemoteLayer } from '../support/remote.ts';

const RECORDS = 1000;
const TTL_MS = 10_000;
/** From the death of a process to the last of its records. */
const SETTLED_WITHIN_MS = 12_000;
/** From the return of the broker to the last record that is written again. */
const WRITTEN_AGAIN_MS = 2000;
/** What has not come by then does not come. */
const PATIENCE_MS = 60_000;

/** What waits beside a queue that is full is moved one by one on NATS: this many fit into one of an event route. */
const CAPACITY = 10_000;

describe.concurrent.each([
  ['Redis', startRedis],
  ['NATS', startNats],
])('leases on %s, of processes', (_, startBroker) => {
  test('killed, frozen and woken, with a broker that comes back empty: every record is settled once, and in time', async () => {
    await using broker = await startBroker();
    await using reader = await openLayer(broker.url, { capacity: CAPACITY });
    const settled = new Settled(reader);
    await using killed = await startHolder(broker, 'killed');
    await using frozen = await startHolder(broker, 'frozen');
    await using later = await startHolder(broker, 'later');
    await using last = await startHolder(broker, 'last');
    // Who has not lived for as long as a lease settles nothing of others.
    await pass(TTL_MS);

    await killed.kill();
    await settled.all('killed');

    frozen.freeze();
    await settled.all('frozen');
    frozen.thaw();
    assert.deepEqual((await frozen.call('settle', '0')).value, false);
    assert.equal((await frozen.call('isLost')).value, true);

    await broker.kill();
    await broker.start({ empty: true });
    for (const holder of [later, last]) await connected(holder);
    await pass(WRITTEN_AGAIN_MS);
    await later.kill();
    await settled.all('later');

    assert.equal((await last.call('isLost')).value, false);
    await settled.nothingElse();
  });
});

/** A process that holds its records. */
async function startHolder(broker: Broker, name: string): Promise<RemoteLayer> {
  const holder = await RemoteLayer.start((command, args, options) => new Child(command, args, options), broker.url, { capacity: CAPACITY });
  assert.equal((await holder.call('lease', `${TTL_MS}`)).outcome, 'ok');
  assert.equal((await holder.call('hold', name, `${RECORDS}`)).outcome, 'ok');
  return holder;
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function connected(holder: RemoteLayer): Promise<void> {
  while ((await holder.status()).state !== 'connected') await pass(20);
}

/** What was queued, whose it was, and when. */
class Settled {
  readonly #layer: ChannelLayer;
  readonly #counts = new Map<string, Map<unknown, number>>();
  #heard: () => void = () => undefined;
  #ended = false;

  constructor(layer: ChannelLayer) {
    this.#layer = layer;
    layer.listen('work', (payload) => {
      const { of, n, end, late } = JSON.parse(Buffer.from(payload).toString()) as { of?: string; n?: number; end?: true; late?: string };
      const name = late === undefined ? (of ?? '') : 'late';
      if (end === true) this.#ended = true;
      else this.#counts.set(name, (this.#counts.get(name) ?? new Map<unknown, number>()).set(n, (this.#counts.get(name)?.get(n) ?? 0) + 1));
      this.#heard();
    });
  }

  /** Until all records of one are there, each once, within the time that is theirs from the call on. */
  async all(name: string): Promise<void> {
    using time = new OwnTime();
    await this.#until(() => this.#counts.get(name)?.size === RECORDS);
    const took = time.ms;
    assert.ok(took <= SETTLED_WITHIN_MS, `the records of ${name} were settled within ${Math.round(took)} ms`);
  }

  /** Nothing was queued twice, by nobody who did not die. */
  async nothingElse(): Promise<void> {
    await this.#layer.send('work', { end: true });
    await this.#until(() => this.#ended);
    assert.deepEqual([...this.#counts.keys()].toSorted(), ['frozen', 'killed', 'later']);
    for (const [name, counts] of this.#counts) assert.deepEqual(new Set(counts.values()), new Set([1]), name);
  }

  async #until(reached: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#heard = () => {
      if (reached()) resolve();
    };
    this.#heard();
    const late = setTimeout(() => reject(new Error(`queued: ${JSON.stringify([...this.#counts].map(([of, counts]) => [of, counts.size]))}`)), PATIENCE_MS);
    await promise.finally(() => clearTimeout(late));
  }
}

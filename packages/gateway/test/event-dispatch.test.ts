import type { Message } from '@busgate/layer';
import { expect, test } from 'vitest';
import type { Backend } from '../src/routes/events/backend.ts';
import { EventCounters } from '../src/routes/events/counters.ts';
import { Dispatch, type DispatchOwner, type Failure } from '../src/routes/events/dispatch.ts';
import { Deadlines } from '../src/session/deadlines.ts';

const SETTINGS = { acceptTimeout: 1000, handlerTimeout: 1000, resumeTimeout: 1000, window: 1, acks: true, frames: 'auto', onWorkerLoss: 'resume' } as const;
const SUBJECT = { session: 's', replyChannel: 'r', replyTopic: 't', route: '/app', path: '/app', params: {}, who: { user: null } };
const ASKED = {
  scheme: 'ws',
  method: 'GET',
  httpVersion: '1.1',
  rawPath: '/app',
  queryString: '',
  rawHeaders: [],
  client: ['127.0.0.1', 1],
  server: ['127.0.0.1', 2],
  user: null,
} as const;

/** What a session says of itself, written down. */
class Owner implements DispatchOwner {
  readonly subject = SUBJECT;
  readonly asked = ASKED;
  readonly failures: Failure[] = [];
  ends = 0;

  wants(): void {}

  failed(failure: Failure): void {
    this.failures.push(failure);
  }

  finished(): void {
    this.ends += 1;
  }
}

/** A backend that takes its time to hold what is said at a death. */
class SlowBackend implements Backend {
  readonly queue = 'app';
  readonly sent: Message[] = [];
  readonly settled: (Message | undefined)[] = [];
  readonly held = Promise.withResolvers<void>();

  async send(event: Message): Promise<void> {
    this.sent.push(event);
  }

  hold(): Promise<void> {
    return this.held.promise;
  }

  async settle(_session: string, disconnect: Message | undefined): Promise<boolean> {
    this.settled.push(disconnect);
    return true;
  }

  async idle(): Promise<void> {}
}

test('a client that leaves before its connect is queued is nobody’s: neither its connect nor its end is told, and what was held is let go', async () => {
  const [owner, backend, counters] = [new Owner(), new SlowBackend(), new EventCounters()];
  const dispatch = new Dispatch(owner, { settings: SETTINGS, backend, counters, deadlines: new Deadlines(1000), now: () => 0, sleep: async () => {} });
  const connecting = dispatch.connect();
  dispatch.finish({ code: 1006, reason: '' });
  backend.held.resolve();
  await connecting;
  expect([backend.sent, backend.settled, owner.ends, owner.failures, counters.disconnects]).toEqual([[], [undefined], 1, [], 0]);
});

import { setImmediate as turn } from 'node:timers/promises';
import type { Message } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import type { Backend } from '../src/routes/events/backend.ts';
import { EventCounters } from '../src/routes/events/counters.ts';
import { Dispatch, type DispatchOwner } from '../src/routes/events/dispatch.ts';
import { EventRequest } from '../src/routes/events/event-request.ts';
import type { Failure } from '../src/routes/events/failure.ts';
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

/** A backend that takes its time to hold what is said at a death, and, where `taken` is set, for events. */
class SlowBackend implements Backend {
  readonly queue = 'app';
  readonly sent: Message[] = [];
  readonly settled: (Message | undefined)[] = [];
  readonly held = Promise.withResolvers<void>();
  taken: Promise<void> | undefined;

  async send(event: Message): Promise<void> {
    this.sent.push(event);
    await this.taken;
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

function dispatched(): { readonly owner: Owner; readonly backend: SlowBackend; readonly counters: EventCounters; readonly dispatch: Dispatch } {
  const [owner, backend, counters] = [new Owner(), new SlowBackend(), new EventCounters()];
  const dispatch = new Dispatch(owner, { settings: SETTINGS, backend, counters, deadlines: new Deadlines(1000), now: () => 0, sleep: async () => {} });
  return { owner, backend, counters, dispatch };
}

/** The same, with a session that a worker with a queue of its own has. */
async function taken(window: number): Promise<ReturnType<typeof dispatched>> {
  const all = dispatched();
  const connecting = all.dispatch.connect();
  all.backend.held.resolve();
  await connecting;
  all.dispatch.accepted('app.w.1', window);
  all.dispatch.done(0);
  return all;
}

const FRAME = { data: Buffer.from('1'), binary: false };

test('a client that leaves before its connect is queued is nobody’s: neither its connect nor its end is told, and what was held is let go', async () => {
  const { owner, backend, counters, dispatch } = dispatched();
  const connecting = dispatch.connect();
  dispatch.finish({ code: 1006, reason: '' });
  backend.held.resolve();
  await connecting;
  expect([backend.sent, backend.settled, owner.ends, owner.failures, counters.disconnects]).toEqual([[], [undefined], 1, [], 0]);
});

describe('when the worker with a session dies', () => {
  test('what was on its way into its queue is told as undone, like what had come there', async () => {
    const { backend, dispatch, counters } = await taken(32);
    dispatch.receive(FRAME);
    await turn();
    backend.taken = Promise.withResolvers<void>().promise;
    dispatch.receive(FRAME);
    await turn();
    dispatch.lost();
    await turn();
    expect(backend.sent.map(({ type, order, undone }) => [type, order, undone])).toEqual([
      ['websocket.connect', 0, undefined],
      ['websocket.receive', 1, undefined],
      ['websocket.receive', 2, undefined],
      ['websocket.connect', 3, 2],
    ]);
    expect([counters.undone.lost, counters.failed]).toEqual([1, 1]);
  });

  test('an event that it had handled before the queue had answered counts as queued and handled, once', async () => {
    const { backend, dispatch, counters } = await taken(32);
    const answer = Promise.withResolvers<void>();
    backend.taken = answer.promise;
    for (let n = 0; n < 2; n += 1) dispatch.receive(FRAME);
    await turn();
    expect(dispatch.done(1)).toBe(true);
    dispatch.lost();
    backend.taken = undefined;
    answer.resolve();
    await turn();
    const { due, queued, failed, handled, undone } = counters;
    // Both connects and the first message; the second one waits with the rest of the session.
    expect({ due, queued, failed, handled, undone, inFlight: dispatch.queued }).toEqual({
      due: 3,
      queued: 3,
      failed: 0,
      handled: 2,
      undone: { timeout: 0, lost: 0, returned: 0 },
      inFlight: 1,
    });
  });

  test('and another one refuses it, what the client said meanwhile is queued for nobody', async () => {
    const { owner, backend, dispatch } = await taken(32);
    dispatch.lost();
    await turn();
    dispatch.receive(FRAME);
    dispatch.refused();
    dispatch.finish({ code: 1011, reason: '' });
    await turn();
    expect(backend.sent.map(({ type }) => type)).toEqual(['websocket.connect', 'websocket.connect']);
    expect([backend.settled.map((end) => end?.['code']), owner.ends]).toEqual([[1011], 1]);
  });

  test('and no other one is to have it, what waits is queued for nobody', async () => {
    const { owner, backend, dispatch } = await taken(1);
    dispatch.receive(FRAME);
    dispatch.receive(FRAME);
    await turn();
    dispatch.abandoned();
    dispatch.finish({ code: 1012, reason: '' });
    await turn();
    expect(backend.sent.map(({ type }) => type)).toEqual(['websocket.connect', 'websocket.receive']);
    expect([backend.settled.map((end) => end?.['code']), owner.ends]).toEqual([[1012], 1]);
  });

  test('after the client has left, and no other one is to have the session, its end is told at once', async () => {
    const { owner, backend, dispatch } = await taken(1);
    dispatch.receive(FRAME);
    await turn();
    dispatch.finish({ code: 1000, reason: '' });
    dispatch.abandoned();
    await turn();
    expect([backend.settled.map((end) => end?.['code']), owner.ends]).toEqual([[1000], 1]);
  });
});

test('a request has all of its time to be answered in, wherever the clock’s tick stands when it comes', async () => {
  const deadlines = new Deadlines(500);
  let now = 400;
  const nobody = { groupAdd: async () => {}, groupDiscard: async () => {}, groupSend: async () => ({}), publish: async () => ({}) };
  const ended: unknown[] = [];
  const request = new EventRequest(SUBJECT, ASKED, new Uint8Array(), {
    settings: SETTINGS,
    backend: new SlowBackend(),
    counters: new EventCounters(),
    deadlines,
    now: () => now,
    sleep: async () => {},
    outbox: 1000,
    layer: nobody,
    hub: nobody,
    refused: () => {},
    failed: () => {},
    ended: () => ended.push(now),
  });
  const answering = request.open(() => {});
  await turn();
  for (now = 500; now <= 1500; now += 500) deadlines.tick();
  expect(ended).toEqual([1500]);
  expect(await answering).toMatchObject({ status: 504 });
});

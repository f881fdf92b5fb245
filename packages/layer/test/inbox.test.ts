import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { ProcessChannels } from '../src/process-channels.ts';
import { encodeMessage } from '../src/codec.ts';
import type { Driver } from '../src/driver/driver.ts';
import { LayerError } from '../src/errors.ts';
import { Inbox, type MembershipRequest } from '../src/inbox.ts';
import { newStats } from '../src/stats.ts';
import { TestClock } from './support/clock.ts';
import { scripted, settled } from './support/driver.ts';

const ADD: MembershipRequest = { op: 'add', group: 'group', channel: 'specific.other!1' };

class Script {
  readonly clock = new TestClock();
  readonly stats = newStats();
  readonly published: { to: string; body: unknown }[] = [];
  readonly changed: MembershipRequest[] = [];
  readonly channels: ProcessChannels;
  readonly inbox: Inbox;
  fault: LayerError | undefined;
  reached: number | undefined = 1;

  constructor(calls: Partial<Driver> = {}) {
    this.channels = new ProcessChannels('me', { capacity: 2, expiryMs: 1000 }, this.stats, this.clock);
    const driver = scripted({
      publish: async ({ kind, name }, payload) => {
        this.published.push({ to: `${kind} ${name}`, body: JSON.parse(Buffer.from(payload).toString()) });
        return this.reached;
      },
      ...calls,
    });
    const change = async (request: MembershipRequest): Promise<void> => {
      this.changed.push(request);
      if (this.fault !== undefined) throw this.fault;
    };
    this.inbox = new Inbox('me', driver, this.channels, this.stats, change, this.clock);
  }

  hear(body: unknown): void {
    this.hearText(JSON.stringify(body));
  }

  hearText(body: string): void {
    this.inbox.message(Buffer.from(body));
  }
}

describe('sending to another process', () => {
  test('one publish on its topic, the message inside as it was encoded', async () => {
    const script = new Script();
    await script.inbox.send('other', 'specific.other!1', encodeMessage({ text: 'é', bytes: Uint8Array.of(1) }, 1000));
    expect(script.published).toEqual([{ to: 'process other', body: { $to: 'specific.other!1', $message: { text: 'é', bytes: { $bytes: 'AQ==' } } } }]);
  });

  test('where the broker knows that nobody is there it is CHANNEL_GONE, or LAYER_AWAY while processes come back to it; where it cannot tell it is taken', async () => {
    const script = new Script();
    script.reached = 0;
    await expect(script.inbox.send('other', 'specific.other!1', Buffer.from('{}'))).rejects.toMatchObject({ code: 'CHANNEL_GONE' });
    script.inbox.returned();
    await expect(script.inbox.send('other', 'specific.other!1', Buffer.from('{}'))).rejects.toMatchObject({ code: 'LAYER_AWAY' });
    script.clock.advance(5000);
    await expect(script.inbox.send('other', 'specific.other!1', Buffer.from('{}'))).rejects.toMatchObject({ code: 'CHANNEL_GONE' });
    script.reached = undefined;
    await expect(script.inbox.send('other', 'specific.other!1', Buffer.from('{}'))).resolves.toBeUndefined();
  });
});

describe('asking the owner of a channel', () => {
  test('resolves with its answer', async () => {
    const script = new Script();
    const asking = script.inbox.ask('other', ADD);
    await settled();
    expect(script.published).toEqual([{ to: 'process other', body: { $ask: ADD, $from: 'me', $id: 1 } }]);
    script.hear({ $answer: 1 });
    await expect(asking).resolves.toBeUndefined();
    expect(script.clock.pending).toBe(0);
  });

  test('rejects with what the owner rejected with, each request with its own answer', async () => {
    const script = new Script();
    const [first, second] = [script.inbox.ask('other', ADD), script.inbox.ask('other', ADD)];
    const ended = [expect(first).resolves.toBeUndefined(), expect(second).rejects.toMatchObject({ code: 'CHANNEL_GONE', message: 'it is closed' })];
    script.hear({ $answer: 2, $error: ['CHANNEL_GONE', 'it is closed'] });
    script.hear({ $answer: 1 });
    await Promise.all(ended);
  });

  test('is TIMEOUT after 5 s, and a later answer disturbs nobody', async () => {
    const script = new Script();
    const ended = expect(script.inbox.ask('other', ADD)).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('specific.other!1') as string,
    });
    script.clock.advance(4999);
    await settled();
    expect(script.clock.pending).toBe(1);
    script.clock.advance(1);
    await ended;
    script.hear({ $answer: 1 });
    expect(script.stats.undecodable).toBe(0);
  });

  test.each([
    ['nobody is reached', 0, 'CHANNEL_GONE'],
    ['the broker is away', new LayerError('LAYER_AWAY', 'away'), 'LAYER_AWAY'],
  ])('where %s rejects at once', async (_, outcome, code) => {
    const script = new Script({
      publish: async () => {
        if (typeof outcome !== 'number') throw outcome;
        return outcome;
      },
    });
    await expect(script.inbox.ask('other', ADD)).rejects.toMatchObject({ code });
    expect(script.clock.pending).toBe(0);
  });

  test('ends when the layer closes', async () => {
    const script = new Script();
    const ended = expect(script.inbox.ask('other', ADD)).rejects.toMatchObject({ code: 'LAYER_CLOSED' });
    script.inbox.close(new LayerError('LAYER_CLOSED', 'closed'));
    await ended;
    expect(script.clock.pending).toBe(0);
  });
});

describe('what arrives', () => {
  test('a request is carried out and answered to who asked', async () => {
    const script = new Script();
    script.hear({ $ask: ADD, $from: 'other', $id: 7 });
    await settled();
    expect(script.changed).toEqual([ADD]);
    expect(script.published).toEqual([{ to: 'process other', body: { $answer: 7 } }]);
  });

  test('a request that fails is answered with its code', async () => {
    const script = new Script();
    script.fault = new LayerError('CHANNEL_GONE', 'it is closed');
    script.hear({ $ask: ADD, $from: 'other', $id: 7 });
    await settled();
    expect(script.published).toEqual([{ to: 'process other', body: { $answer: 7, $error: ['CHANNEL_GONE', 'it is closed'] } }]);
  });

  test('a message for a channel here is received, from a layer and from any program', async () => {
    const script = new Script();
    const channel = script.channels.create('specific');
    script.hear({ $to: channel, $message: { n: 1, bytes: { $bytes: 'AQ==' } } });
    script.hear({ channel, type: 'websocket.send', text: 'hi' });
    await expect(script.channels.receive(channel, undefined)).resolves.toEqual({ n: 1, bytes: Uint8Array.of(1) });
    await expect(script.channels.receive(channel, undefined)).resolves.toEqual({ type: 'websocket.send', text: 'hi' });
  });

  test('a full channel drops the newest, counted', async () => {
    const script = new Script();
    const channel = script.channels.create('specific');
    for (const n of [1, 2, 3]) script.hear({ $to: channel, $message: { n } });
    expect(script.stats.droppedFull).toBe(1);
    await expect(script.channels.receive(channel, undefined)).resolves.toEqual({ n: 1 });
  });

  test.each([
    {},
    [],
    null,
    'text',
    7,
    { channel: 7 },
    { $to: 'c' },
    { $to: 'c', $message: 7 },
    { $to: 'c', $message: [] },
    { $to: 7, $message: {} },
    { $ask: { op: 'add' }, $from: 'other', $id: 1 },
    { $ask: { op: 'drop', group: 'g', channel: 'c' }, $from: 'other', $id: 1 },
    { $ask: ADD, $id: 1 },
    { $ask: ADD, $from: 'other.>', $id: 1 },
    { $ask: ADD, $from: 'a b', $id: 1 },
    { $answer: '1' },
  ])('%j is counted as undecodable, and disturbs nobody', async (body) => {
    const script = new Script();
    script.hear(body);
    await settled();
    expect(script.stats.undecodable).toBe(1);
    expect([script.changed, script.published]).toEqual([[], []]);
  });

  test('a message that is nested without end is counted as undecodable, whoever it is for', () => {
    const script = new Script();
    const channel = script.channels.create('specific');
    const nested = '['.repeat(100_000) + ']'.repeat(100_000);
    for (const name of [channel, 'nobody']) script.hearText(`{"$to": "${name}", "$message": {"m": ${nested}}}`);
    expect(script.stats.undecodable).toBe(2);
  });
});

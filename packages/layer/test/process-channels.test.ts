import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { Body } from '../src/body.ts';
import { ProcessChannels } from '../src/process-channels.ts';
import { LayerError } from '../src/errors.ts';
import { newStats } from '../src/stats.ts';
import { TestClock } from './support/clock.ts';

const body = (n: number): Body => raw(`{"n":${n}}`);
const raw = (text: string): Body => new Body(Buffer.from(text));

function start(): { channels: ProcessChannels; clock: TestClock; stats: ReturnType<typeof newStats> } {
  const clock = new TestClock();
  const stats = newStats();
  return { channels: new ProcessChannels('me', { capacity: 3, expiryMs: 5500 }, stats, clock), clock, stats };
}

describe('channels of a process', () => {
  test('names are the prefix, the process and a number that never comes again', () => {
    const { channels } = start();
    const names = Array.from({ length: 1000 }, () => channels.create('a.b'));
    expect(new Set(names).size).toBe(1000);
    for (const name of names) expect(name).toMatch(/^a\.b\.me![0-9a-z]+$/);
  });

  test('a message lives exactly its time', async () => {
    const { channels, clock } = start();
    const channel = channels.create('c');
    channels.push(channel, body(1));
    clock.advance(1);
    channels.push(channel, body(2));
    clock.advance(5499);
    await expect(channels.receive(channel, undefined)).resolves.toEqual({ n: 2 });
  });

  test('unread messages are freed when they expire, and then no timer is left', () => {
    const { channels, clock, stats } = start();
    const names = Array.from({ length: 50 }, () => channels.create('c'));
    for (const name of names) channels.push(name, body(1));
    expect(clock.pending).toBe(1);
    clock.advance(6000);
    expect([stats.expired, clock.pending]).toEqual([50, 0]);
  });

  test('the newest is refused where the channel is full, and an expired one makes room', () => {
    const { channels, clock } = start();
    const channel = channels.create('c');
    expect([1, 2, 3, 4].map((n) => channels.push(channel, body(n)))).toEqual([true, true, true, false]);
    clock.advance(5500);
    expect(channels.push(channel, body(5))).toBe(true);
  });

  test('a message that cannot be read is counted and skipped, whether somebody waits or not', async () => {
    const { channels, stats } = start();
    const channel = channels.create('c');
    channels.push(channel, raw('no message'));
    const received = channels.receive(channel, undefined);
    channels.push(channel, raw('[]'));
    channels.push(channel, body(1));
    await expect(received).resolves.toEqual({ n: 1 });
    expect(stats.undecodable).toBe(2);
  });

  test('clear empties the channels and keeps who waits', async () => {
    const { channels } = start();
    const [full, waited] = [channels.create('c'), channels.create('c')];
    channels.push(full, body(1));
    const received = channels.receive(waited, undefined);
    channels.clear();
    channels.push(waited, body(2));
    channels.push(full, body(3));
    await expect(received).resolves.toEqual({ n: 2 });
    await expect(channels.receive(full, undefined)).resolves.toEqual({ n: 3 });
  });

  test('close ends those who wait and every timer', async () => {
    const { channels, clock } = start();
    const [full, waited] = [channels.create('c'), channels.create('c')];
    channels.push(full, body(1));
    const ended = expect(channels.receive(waited, undefined)).rejects.toMatchObject({ code: 'LAYER_CLOSED' });
    channels.close(new LayerError('LAYER_CLOSED', 'closed'));
    await ended;
    expect([clock.pending, channels.has(full)]).toEqual([0, false]);
  });
});

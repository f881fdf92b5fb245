import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { Gateway } from '../src/gateway.ts';
import type { RoomMemberships } from '../src/hub/member.ts';
import { TestGateway, until } from './support/gateway.ts';
import { LOSSES } from './support/losses.ts';
import { frame, RawClient } from './support/raw.ts';
import { CLOSING, Stage } from './support/stage.ts';
import { StreamClient } from './support/stream.ts';

describe('a lossy room', () => {
  const fill = (stage: Stage, name: string, count: number): void => {
    for (let number = 0; number < count; number += 1) {
      stage.publish(name, `${name} ${number} ${'x'.repeat(90)}`);
      stage.turn();
    }
  };

  test('leaves other rooms of the session and other members alone', () => {
    const stage = new Stage({ outbox: 2000, losses: LOSSES });
    const slow = stage.session();
    const quick = stage.session();
    for (const { session, members } of [slow, quick]) for (const name of ['oldest', 'newest', 'kept']) stage.join(session, members, name);
    slow.link.room = 0;
    fill(stage, 'oldest', 100);
    fill(stage, 'newest', 100);
    fill(stage, 'kept', 15);
    expect(slow.session.isOpen).toBe(true);
    slow.link.take(1_000_000);
    stage.settle();
    expect(slow.link.texts().filter((text) => text.startsWith('kept')).length).toBe(15);
    expect(quick.link.texts().length).toBe(215);
    expect(
      slow.link
        .texts()
        .filter((text) => text.startsWith('oldest'))
        .at(-1),
    ).toMatch(/^oldest 99 /);
  });

  test('does not end a session for what has waited too long there, and other rooms do as before', () => {
    const stage = new Stage({ losses: LOSSES });
    const { session, link, members } = stage.session();
    for (const name of ['newest', 'kept']) stage.join(session, members, name);
    link.room = 0;
    stage.publish('newest', 'x');
    stage.turn();
    stage.publish('kept', 'y');
    stage.turn();
    stage.time = 30_000;
    stage.outboxes.sweep();
    expect(session.isOpen).toBe(true);
    link.take(3);
    stage.outboxes.sweep();
    stage.time = 39_000;
    stage.outboxes.sweep();
    expect(session.isOpen).toBe(true);
    stage.time = 41_000;
    stage.outboxes.sweep();
    expect(session.isOpen).toBe(false);
  });

  test('does not end it either for what left together with other rooms of its session', () => {
    const stage = new Stage({ losses: LOSSES });
    const { session, link, members } = stage.session();
    for (const name of ['newest', 'oldest', 'kept']) stage.join(session, members, name);
    link.room = 0;
    for (const name of ['newest', 'oldest', 'kept']) stage.publish(name, 'x');
    stage.turn();
    const lossy = link.written.at(-1)?.length ?? 0;
    link.take(link.queued - lossy);
    stage.outboxes.sweep();
    stage.time = 30_000;
    stage.outboxes.sweep();
    expect([lossy > 0, session.isOpen]).toEqual([true, true]);
  });

  test('tells what was dropped also where nothing follows, and before the room is left', () => {
    const stage = new Stage({ outbox: 1000, losses: LOSSES });
    const quiet = stage.session();
    const leaving = stage.session();
    for (const { session, members, link } of [quiet, leaving]) {
      stage.join(session, members, 'newest');
      link.room = 0;
    }
    fill(stage, 'newest', 50);
    leaving.members.remove(leaving.members.get('newest') as NonNullable<ReturnType<RoomMemberships['get']>>);
    leaving.session.send('left');
    for (const { link } of [quiet, leaving]) link.take(1_000_000);
    stage.settle();
    expect(quiet.link.texts().at(-1)).toMatch(/^missed newest \d+$/);
    expect(leaving.link.texts().slice(-2)).toEqual([expect.stringMatching(/^missed newest \d+$/), 'left']);
  });

  test('shares what may wait with the other lossy rooms of its session, for as long as there are any', () => {
    const stage = new Stage({ outbox: 10_000, losses: LOSSES });
    const { session, link, members } = stage.session();
    for (const name of ['oldest', 'newest']) stage.join(session, members, name);
    link.room = 0;
    fill(stage, 'oldest', 200);
    const half = stage.outboxes.bytes;
    members.remove(members.get('newest') as NonNullable<ReturnType<RoomMemberships['get']>>);
    fill(stage, 'oldest', 200);
    expect(stage.outboxes.bytes / half).toBeCloseTo(2, 0);
    expect(stage.outboxes.bytes).toBeLessThan(10_000);
  });

  test('gives a session that is closed what it is owed before', () => {
    const stage = new Stage({ losses: LOSSES });
    const { session, link, members } = stage.session();
    stage.join(session, members, 'oldest');
    link.room = 0;
    fill(stage, 'oldest', 5);
    session.close('going_away');
    link.take(1_000_000);
    expect(link.texts().length).toBe(5);
  });

  test('is no way to have more wait than may, however often it is left and joined', () => {
    const stage = new Stage({ outbox: 5000, losses: LOSSES });
    const { session, link, members } = stage.session();
    link.room = 0;
    for (let round = 0; round < 50; round += 1) {
      stage.join(session, members, 'oldest');
      fill(stage, 'oldest', 60);
      members.remove(members.get('oldest') as NonNullable<ReturnType<RoomMemberships['get']>>);
      expect(stage.outboxes.bytes).toBeLessThan(2 * 5000 + 50 * 20);
    }
    link.take(1_000_000);
    stage.settle();
    const told = link.texts().map((text) => (text.startsWith('missed') ? Number(text.split(' ')[2]) : 1));
    expect(told.reduce((sum, count) => sum + count, 0)).toBe(50 * 60);
  });

  test('counts towards the bound of all together', () => {
    const names = Array.from({ length: 10 }, (_, index) => `own${index}`);
    const stage = new Stage({ outbox: 10_000, total: 20_000, losses: Object.fromEntries(names.map((name) => [name, LOSSES.oldest])) });
    const readers = names.map((name) => ({ name, ...stage.session() }));
    for (const { name, session, members, link } of readers) {
      stage.join(session, members, name);
      link.room = 0;
      fill(stage, name, 60);
    }
    expect(readers.filter(({ session }) => !session.isOpen).length).toBeGreaterThan(0);
    expect(stage.counters.dropped.total).toBeGreaterThan(0);
  });

  test('that ends its sessions at a gap gives them what came before it, and nothing after', () => {
    const stage = new Stage({ losses: LOSSES });
    const { session, link, members } = stage.session();
    stage.join(session, members, 'oldest', CLOSING);
    link.room = 0;
    fill(stage, 'oldest', 3);
    stage.room('oldest').take({ gap: true });
    fill(stage, 'oldest', 3);
    link.take(1_000_000);
    stage.settle();
    expect(link.texts().map((text) => text.slice(0, 8))).toEqual(['oldest 0', 'oldest 1', 'oldest 2']);
    expect(link.closedWith).toBe(1012);
  });

  test('holds a message once, however many wait for it', () => {
    const stage = new Stage({ total: 20_000, outbox: 100_000, losses: LOSSES });
    const readers = Array.from({ length: 100 }, () => stage.session());
    for (const { session, members, link } of readers) {
      stage.join(session, members, 'oldest');
      link.room = 0;
    }
    fill(stage, 'oldest', 20);
    expect(readers.every(({ session }) => session.isOpen)).toBe(true);
  });
});

describe('on the wire', () => {
  const RULES = '[{rooms: "news.>", slow: oldest}, {rooms: "quotes", slow: latest, key: s}, {rooms: "*", slow: newest}]';

  /** Publishes to somebody who does not read, in turns of the loop, until so much that is `enough`. Answers how many messages it were. */
  async function flood(gateway: TestGateway, name: string, enough: (state: Gateway) => boolean): Promise<number> {
    let count = 0;
    for (; !enough(gateway.gateway); count += 1) {
      await gateway.layer.publish(name, JSON.stringify({ n: count, s: count % 7, x: 'x'.repeat(4000) }));
      if (count % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    return count;
  }

  const hasMissed = ({ counters }: Gateway): boolean => counters.dropped.missed >= 100;

  test.each(['news.1', 'quotes', 'other'])('a socket that did not read is told in %s how many it has missed, at their places', async (name) => {
    await using gateway = await TestGateway.start(['--rooms', RULES]);
    await using client = await RawClient.upgraded(gateway.port, '/socket');
    client.write(frame(1, JSON.stringify({ type: 'join', room: name })));
    await client.until((frames) => frames.length === 2);
    client.socket.pause();
    const count = await flood(gateway, name, hasMissed);
    client.write(frame(1, JSON.stringify({ type: 'leave', room: name })));
    client.socket.resume();
    await client.until((frames) => frames.at(-1)?.payload.includes('"left"') === true);
    const told = client.frames
      .slice(2, -1)
      .map(({ payload }) => JSON.parse(payload.toString()) as { type: string; room: string; count?: number; data?: { n: number } });
    let next = 0;
    for (const { type, room: of, count = 0, data } of told) {
      expect(of).toBe(name);
      if (type === 'message') expect(data?.n).toBe(next);
      next += type === 'missed' ? count : 1;
    }
    expect(next).toBe(count);
    await until(() => gateway.balance().queued === 0, 'all is with the kernel');
    const { due, sent, dropped } = gateway.balance();
    expect([due, sent + dropped]).toEqual([count, count]);
  });

  test('a stream is told by an event of its own, and a raw socket is not told', async () => {
    await using gateway = await TestGateway.start(['--rooms', RULES]);
    await using stream = await StreamClient.open(gateway.port, '/room/news.1');
    await using socket = await RawClient.upgraded(gateway.port, '/room/news.1');
    stream.socket.pause();
    socket.socket.pause();
    const count = await flood(gateway, 'news.1', ({ counters }) => counters.dropped.missed >= 2000);
    await gateway.layer.publish('news.1', 'last');
    for (const { socket: tcp } of [stream, socket]) tcp.resume();
    await stream.until(() => stream.events.at(-1)?.endsWith('last') === true);
    await socket.until((frames) => frames.at(-1)?.payload.toString() === 'last');
    const missed = stream.events.filter((block) => block.startsWith('event: missed'));
    const counts = missed.map((block) => JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? '') as { room: string; count: number });
    expect(counts.every(({ room: of }) => of === 'news.1')).toBe(true);
    expect(counts.reduce((sum, { count }) => sum + count, 0) + stream.events.length - missed.length).toBe(count + 1);
    expect(socket.frames.every(({ payload }) => payload.toString() === 'last' || payload.includes('"n"'))).toBe(true);
  });

  test('a rule for other rooms leaves a room as it is: who does not read is ended', async () => {
    await using gateway = await TestGateway.start(['--rooms', '[{rooms: "kept", slow: close}, {rooms: ">", slow: oldest}]']);
    await using client = await RawClient.upgraded(gateway.port, '/room/kept');
    client.socket.pause();
    await flood(gateway, 'kept', ({ counters }) => counters.dropped.slow > 0);
    client.socket.resume();
    expect(await client.closeCode()).toBe(1013);
    client.socket.end();
    await once(client.socket, 'close');
    expect(gateway.gateway.counters.dropped).toMatchObject({ missed: 0 });
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Rights } from '../src/auth/rights.ts';
import { type Access, stricter } from '../src/config/access.ts';
import type { RoomRule } from '../src/config/room-rules.ts';
import { Client } from './support/client.ts';
import { TestGateway } from './support/gateway.ts';
import { StreamClient } from './support/stream.ts';

const EVERYBODY = { join: 'anyone', publish: 'anyone' } as const;

function rule(rooms: string, said: Partial<RoomRule> = {}): RoomRule {
  return { join: undefined, publish: undefined, ...said, rooms };
}

function joins(route: Access, room: string, rules: readonly RoomRule[] = []): boolean {
  return new Rights({ join: route, publish: 'nobody' }, rules).join.allows(room);
}

describe('rules of rooms', () => {
  test('the strictest of what the route and the first rule that covers a room say', () => {
    const access = fc.constantFrom('nobody', 'anyone');
    fc.assert(
      fc.property(access, access, access, (route, first, second) => {
        const rules = [rule('a.*', { join: first }), rule('a.>', { join: second })];
        expect(joins(route, 'a.b', rules)).toBe(joins(stricter(route, first), 'a.b'));
        expect(joins(route, 'a.b.c', rules)).toBe(joins(stricter(route, second), 'a.b.c'));
        expect(joins(route, 'a', rules)).toBe(joins(route, 'a'));
      }),
    );
  });

  test('what the rule that covers a room does not say is as the route says, whatever later ones do', () => {
    const { join, publish } = new Rights(EVERYBODY, [rule('a', { join: 'nobody' }), rule('>', { publish: 'nobody' })]);
    expect([join.allows('a'), publish.allows('a'), join.allows('b'), publish.allows('b')]).toEqual([false, true, true, false]);
  });

  test('no rule opens the rooms of Busgate’s own', () => {
    expect(joins('anyone', '_auth', [rule('_auth', { join: 'anyone' })])).toBe(false);
  });
});

describe('a room that a rule closes', () => {
  const RULES = ['--rooms', '[{rooms: "closed.>", join: nobody}, {rooms: "read.*", join: anyone, publish: nobody}]'];

  test('lets nobody in, on a route of its own or among others, and lets them in elsewhere', async () => {
    await using gateway = await TestGateway.start(RULES);
    await expect(Client.open(gateway.ws('/room/closed.a'))).rejects.toThrow('403');
    const stream = await fetch(gateway.http('/room/closed.a'), { headers: { Accept: 'text/event-stream' } });
    expect([stream.status, await stream.json()]).toMatchObject([403, { error: 'not_allowed' }]);
    await using socket = await Client.multiplex(gateway.ws('/socket'));
    expect(await socket.ask({ type: 'join', room: 'closed.a', ref: 1 })).toMatchObject({ type: 'error', code: 'not_allowed', ref: 1 });
    expect(await socket.ask({ type: 'join', room: 'closed', ref: 2 })).toMatchObject({ type: 'joined', room: 'closed' });
  });

  test('does not hinder the others that a stream asks for', async () => {
    await using gateway = await TestGateway.start(RULES);
    await using stream = await StreamClient.open(gateway.port, '/socket?rooms=closed.a&rooms=open');
    await stream.until(() => stream.frames.length === 3);
    expect(stream.frames).toMatchObject([{ type: 'welcome' }, { type: 'error', code: 'not_allowed' }, { type: 'joined', room: 'open' }]);
  });

  test('takes nothing where it is for reading: neither by frame nor by POST', async () => {
    await using gateway = await TestGateway.start(RULES);
    await using raw = await Client.open(gateway.ws('/room/read.a'));
    await using socket = await Client.multiplex(gateway.ws('/socket'));
    const posted = await fetch(gateway.http('/room/read.a'), { method: 'POST', body: 'x' });
    const framed = await fetch(gateway.http('/socket'), { method: 'POST', body: '{"type":"publish","room":"read.a","data":1}' });
    expect([posted.status, framed.status, (await fetch(gateway.http('/room/read.a.b'), { method: 'POST', body: 'x' })).status]).toEqual([403, 403, 202]);
    expect(await socket.ask({ type: 'publish', room: 'read.a', data: 1, ref: 1 })).toMatchObject({ type: 'error', code: 'not_allowed' });
    raw.send('x');
    expect(await raw.closed()).toBe(4403);
    expect(gateway.gateway.counters.publishFailures.not_allowed).toBe(4);
  });
});

test('rules that are wrong are told, each with what would do', async () => {
  const start = (rules: string): Promise<TestGateway> => TestGateway.start(['--rooms', rules]);
  const wrong = start('[{rooms: "a b", join: user}, {room: a}]').catch((error: Error) => error.message.split('\n'));
  expect(await wrong).toEqual([
    expect.stringContaining('--rooms[0].rooms is "a b", but must be a room name'),
    '--rooms[0].join is "user", but must be anyone or nobody',
    '--rooms[1].room must be left out: a rule has rooms, join, publish, slow, key; the nearest is rooms',
    expect.stringContaining('--rooms[1].rooms must be said'),
  ]);
});

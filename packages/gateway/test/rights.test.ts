import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { looserRoutes } from '../src/auth/looseness.ts';
import { Rights } from '../src/auth/rights.ts';
import { ACCESS_WORDS, type Access, stricter } from '../src/config/access.ts';
import { type RoomRule, roomRules } from '../src/config/room-rules.ts';
import { httpError } from '../src/errors.ts';
import { ANYONE, type Identity } from '../src/identity.ts';
import { loadConfig } from '../src/config.ts';
import { Client } from './support/client.ts';
import { TestGateway } from './support/gateway.ts';
import { StreamClient } from './support/stream.ts';

const BOB: Identity = { ...ANYONE, user: 'bob' };

function rule(rooms: string, said: { readonly join?: Access; readonly publish?: Access } = {}): RoomRule {
  const [read] = roomRules.read([{ rooms, ...said }], ({ must }) => expect.fail(must)) ?? [];
  return read ?? expect.fail(rooms);
}

function joins(access: Access, room: string, identity: Identity, rules: readonly RoomRule[] = []): boolean {
  return new Rights({ join: access, publish: 'nobody' }, rules).join.allows(room, identity);
}

describe('what a route lets a client do', () => {
  const holder: Identity = { ...ANYONE, join: ['chat.*', 'news.>'], publish: ['chat.1'] };

  test.each([
    ['anyone', true, true, true],
    ['user', false, true, false],
    ['token', false, false, true],
    ['nobody', false, false, false],
  ] as const)('%s', (access, anybody, user, token) => {
    expect([joins(access, 'chat.1', ANYONE), joins(access, 'chat.1', BOB), joins(access, 'chat.1', holder)]).toEqual([anybody, user, token]);
  });

  test('a token names rooms by pattern, for joining and publishing apart', () => {
    const { join, publish } = new Rights({ join: 'token', publish: 'token' }, []);
    expect(['chat.1', 'chat.1.2', 'chat', 'news.a.b', 'news', 'other'].map((room) => join.allows(room, holder))).toEqual([
      true,
      false,
      false,
      true,
      false,
      false,
    ]);
    expect(['chat.1', 'chat.2'].map((room) => publish.allows(room, holder))).toEqual([true, false]);
  });

  test('nobody has the rooms that begin with _, whatever a token names', () => {
    const all: Identity = { ...BOB, join: ['>'], publish: ['>'] };
    expect(ACCESS_WORDS.map((access) => joins(access, '_worker.a', all))).toEqual([false, false, false, false]);
  });

  test('who may not is told what; whom nobody knows is asked who it is, where that could change it', () => {
    const rights = new Rights({ join: 'anyone', publish: 'nobody' }, [
      rule('a', { join: 'user' }),
      rule('b', { join: 'nobody' }),
      rule('c', { join: 'token' }),
    ]);
    const not = (what: string): object => ({ key: 'not_allowed', message: `${what} is not allowed` });
    expect(['a', 'b', 'c', 'd', '_a'].map((room) => rights.join.denial(room, ANYONE))).toEqual([
      'unauthorized',
      not('joining b'),
      'unauthorized',
      undefined,
      not('joining _a'),
    ]);
    expect([rights.publish.denial('a', ANYONE), rights.join.denial('c', BOB)]).toEqual([not('publishing to a'), not('joining c')]);
    const room = 'r'.repeat(200);
    expect(rights.publish.denial(room, BOB)).toEqual(not('publishing to this room'));
    const longest = new Rights({ join: 'nobody', publish: 'nobody' }, []).publish.denial('r'.repeat(120), BOB) ?? 'internal';
    expect(httpError(longest).body.length).toBeLessThanOrEqual(200);
  });

  test('a token without a user is somebody; whom the application does not know is nobody', () => {
    const { join } = new Rights({ join: 'user', publish: 'nobody' }, []);
    expect(join.denial('a', { ...ANYONE, join: ['b'] })).toMatchObject({ key: 'not_allowed' });
    expect(join.denial('a', { ...ANYONE, question: { uri: '/', address: '', headers: [] } })).toBe('unauthorized');
  });
});

describe('rules of rooms', () => {
  test('the strictest of what the route and the first rule that matches say', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ACCESS_WORDS), fc.constantFrom(...ACCESS_WORDS), fc.constantFrom(...ACCESS_WORDS), (route, first, second) => {
        const rules = [rule('a.*', { join: first }), rule('a.>', { join: second })];
        const all: Identity = { ...BOB, join: ['>'] };
        for (const identity of [ANYONE, BOB, { ...ANYONE, join: ['>'] }, all]) {
          expect(joins(route, 'a.b', identity, rules)).toBe(joins(stricter(route, first), 'a.b', identity));
          expect(joins(route, 'a.b.c', identity, rules)).toBe(joins(stricter(route, second), 'a.b.c', identity));
          expect(joins(route, 'b', identity, rules)).toBe(joins(route, 'b', identity));
        }
      }),
    );
  });

  test('what a rule does not say is as the route says', () => {
    const { join, publish } = new Rights({ join: 'anyone', publish: 'user' }, [rule('a', { join: 'nobody' })]);
    expect([join.allows('a', BOB), publish.allows('a', BOB), publish.allows('a', ANYONE)]).toEqual([false, true, false]);
  });

  test('the first alone holds, also for what it does not say', () => {
    const { join, publish } = new Rights({ join: 'anyone', publish: 'anyone' }, [rule('a', { join: 'nobody' }), rule('>', { publish: 'nobody' })]);
    expect([publish.allows('a', BOB), join.allows('b', BOB), publish.allows('b', BOB)]).toEqual([true, true, false]);
  });
});

describe('the own rooms of a user', () => {
  const rules = [rule('user.{sub}.>', { join: 'user' })];

  test('only that user has the rooms below its name', () => {
    expect(['user.bob.inbox', 'user.bob.a.b', 'user.alice.inbox'].map((room) => joins('anyone', room, BOB, rules))).toEqual([true, true, false]);
    expect(joins('anyone', 'user.bob.inbox', ANYONE, rules)).toBe(false);
    const { publish } = new Rights({ join: 'anyone', publish: 'anyone' }, rules);
    expect([publish.allows('user.bob.inbox', BOB), publish.allows('user.alice.inbox', BOB)]).toEqual([true, false]);
  });

  test('whatever the rule calls them: anyone is the user, and a token names them besides', () => {
    expect(joins('anyone', 'user.alice.inbox', BOB, [rule('user.{sub}.>', { join: 'anyone' })])).toBe(false);
    const holder: Identity = { ...BOB, join: ['user.>'] };
    const named = [rule('user.{sub}.>', { join: 'token' })];
    expect(['user.bob.inbox', 'user.alice.inbox'].map((room) => joins('anyone', room, holder, named))).toEqual([true, false]);
    expect(joins('anyone', 'user.bob.inbox', BOB, named)).toBe(false);
  });

  test('a name that is not exactly one level owns none', () => {
    for (const user of ['bob.x', 'bob.', '', '*', '>', '{sub}', 'b b']) {
      const identity = { ...ANYONE, user };
      expect(['user.bob.x', 'user.bob.x.y', 'user.x.y', 'user.sub.a'].map((room) => joins('anyone', room, identity, rules))).toEqual([
        false,
        false,
        false,
        false,
      ]);
    }
  });

  test('the level may stand anywhere, and more than once', () => {
    expect(['bob', 'alice'].map((room) => joins('anyone', room, BOB, [rule('{sub}', { join: 'user' })]))).toEqual([true, false]);
    const pairs = [rule('a.{sub}.b.{sub}', { join: 'user' })];
    expect(['a.bob.b.bob', 'a.bob.b.alice', 'a.alice.b.bob'].map((room) => joins('anyone', room, BOB, pairs))).toEqual([true, false, false]);
  });
});

describe('a route that is looser than another one', () => {
  function looser(routes: string, rooms = '[]'): string[] {
    const argv = ['--routes', routes, '--rooms', rooms, '--auth-jwt', '{key: secret, algorithms: [HS256]}'];
    const config = loadConfig({ argv, env: {}, readFile: () => '', descriptors: 1000 });
    return looserRoutes(config.routes, config.rooms).map(({ right, route, than, rooms: kind }) => `${right} ${route} ${than} ${kind}`);
  }

  const route = (join: Access, publish: Access): string => `{path: "/r/:room", kind: room, join: ${join}, publish: ${publish}}`;
  const socket = (join: Access, publish: Access): string => `{path: /socket, kind: multiplex, join: ${join}, publish: ${publish}}`;

  test('is told, with both', () => {
    expect(looser(`[${route('anyone', 'nobody')}, ${socket('user', 'token')}]`)).toEqual(['join /r/:room /socket >', 'publish /socket /r/:room >']);
    expect(looser(`[${route('user', 'nobody')}, ${socket('user', 'nobody')}]`)).toEqual([]);
  });

  test('not where rules make them alike', () => {
    expect(looser(`[${route('anyone', 'nobody')}, ${socket('user', 'nobody')}]`, '[{rooms: ">", join: token}]')).toEqual([]);
    expect(looser(`[${route('anyone', 'nobody')}, ${socket('user', 'nobody')}]`, '[{rooms: "a.>", join: token}]')).toEqual(['join /r/:room /socket >']);
    expect(looser(`[${route('anyone', 'nobody')}, ${socket('user', 'nobody')}]`, '[{rooms: "a.>", join: anyone}, {rooms: ">", join: token}]')).toEqual([
      'join /r/:room /socket a.>',
    ]);
  });

  test('event routes have no rooms of clients', () => {
    expect(looser(`[${route('user', 'nobody')}, {path: "/e", kind: events, url: "http://127.0.0.1:1/"}]`)).toEqual([]);
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
  const wrong = start('[{rooms: "a b", join: users}, {room: a}]').catch((error: Error) => error.message.split('\n'));
  expect(await wrong).toEqual([
    expect.stringContaining('--rooms[0].rooms is "a b", but must be a room name'),
    '--rooms[0].join is "users", but must be anyone, nobody, user or token',
    '--rooms[1].room must be left out: a rule has rooms, join, publish, slow, key; the nearest is rooms',
    expect.stringContaining('--rooms[1].rooms must be said'),
  ]);
});

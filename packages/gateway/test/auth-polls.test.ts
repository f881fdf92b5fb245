import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TestGateway, until } from './support/gateway.ts';
import { KEY, Operator } from './support/operator.ts';
import { ask, type HistoryAnswer } from './support/questions.ts';
import { JWT, seconds, tokenFor } from './support/tokens.ts';

const HISTORY = [{ rooms: '>', size: 100, ageMs: 60_000 }];
const ROUTES = JSON.stringify([
  { path: '/room/:room', kind: 'room', join: 'token', publish: 'nobody' },
  { path: '/socket', kind: 'multiplex', join: 'token', publish: 'nobody' },
]);
/** What polls ask to wait for, in seconds. */
const ASKED_S = 30;
const RIGHTS = { busgate: { join: ['mine.>'] } };

let gateway: TestGateway;
let operator: Operator;

beforeEach(async () => {
  gateway = await TestGateway.start(['--routes', ROUTES, '--auth-jwt', JWT, '--ops-key', KEY], HISTORY);
  operator = new Operator(`http://127.0.0.1:${gateway.gateway.ops.port}`);
});

afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

function asks(path: string, claims: Record<string, unknown> = {}): Promise<HistoryAnswer> {
  return ask(gateway, path, { headers: { Authorization: `Bearer ${tokenFor({ ...RIGHTS, ...claims })}` } });
}

/** A poll that waits, of a client that stands where the room does. */
async function waits(claims: Record<string, unknown>): Promise<{ readonly cursor: string; readonly answer: Promise<HistoryAnswer> }> {
  const { cursor } = await asks('/room/mine.a?poll=0', claims);
  const before = gateway.gateway.state.sessions.poll;
  const answer = asks(`/room/mine.a?poll=${ASKED_S}&since=${cursor}`, claims);
  await until(() => gateway.gateway.state.sessions.poll === before + 1, 'the poll waits');
  return { cursor, answer };
}

describe('a poll of somebody who is known', () => {
  test('reads the rooms that its token names; one that it does not name refuses the whole', async () => {
    expect((await asks('/socket?poll=0&rooms=mine.a&rooms=mine.b')).status).toBe(200);
    expect(await asks('/socket?poll=0&rooms=mine.a&rooms=yours.a')).toMatchObject({ status: 403, error: 'not_allowed' });
    expect(await asks('/room/yours.a?last=5')).toMatchObject({ status: 403, error: 'not_allowed' });
    expect(await ask(gateway, '/socket?poll=0&rooms=mine.a')).toMatchObject({ status: 401, error: 'unauthorized' });
  });

  test('does not wait longer than its token holds', async () => {
    const began = performance.now();
    const { cursor, answer } = await waits({ exp: seconds() + 2 });
    expect(await answer).toMatchObject({ status: 200, messages: [], cursor });
    expect(performance.now() - began).toBeLessThan(ASKED_S * 500);
  });

  test('is 401 once its user or its token is revoked, and those of others go on', async () => {
    const eve = await waits({ sub: 'eve' });
    const one = await waits({ sub: 'ann', jti: 'one' });
    const other = await waits({ sub: 'ann', jti: 'two' });
    expect((await operator.ask('POST', '/api/revoke', { user: 'eve' })).status).toBe(200);
    expect((await operator.ask('POST', '/api/revoke', { token: 'one' })).status).toBe(200);
    expect(await Promise.all([eve.answer, one.answer])).toMatchObject(Array(2).fill({ status: 401, error: 'bad_token' }));
    expect(await asks('/room/mine.a?poll=0', { sub: 'eve' })).toMatchObject({ status: 401 });
    const { position } = await gateway.layer.publish('mine.a', '1');
    expect(await other.answer).toMatchObject({ status: 200, cursor: position });
  });

  test('is told where it stands when its user is disconnected, and may come back', async () => {
    const { cursor, answer } = await waits({ sub: 'tom' });
    expect((await operator.ask('POST', '/api/disconnect', { user: 'tom', code: 4000 })).status).toBe(200);
    expect(await answer).toMatchObject({ status: 200, messages: [], cursor });
    expect((await asks('/room/mine.a?poll=0', { sub: 'tom' })).status).toBe(200);
  });

  test('counts as one of the sessions of its user', async () => {
    await using strict = await TestGateway.start(['--routes', ROUTES, '--auth-jwt', JWT, '--limits-user-sessions', '1'], HISTORY, gateway.bus);
    const headers = { Authorization: `Bearer ${tokenFor(RIGHTS)}` };
    const { cursor } = await ask(strict, '/room/mine.a?poll=0', { headers });
    const waiting = ask(strict, `/room/mine.a?poll=30&since=${cursor}`, { headers });
    await until(() => strict.gateway.state.sessions.poll === 1, 'the poll waits');
    expect(await ask(strict, `/room/mine.a?poll=30&since=${cursor}`, { headers })).toMatchObject({ status: 429, error: 'rate' });
    await gateway.layer.publish('mine.a', '1');
    expect((await waiting).messages).toHaveLength(1);
  });
});

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LayerError } from '@busgate/layer';
import { describe, expect, test } from 'vitest';
import { closeLabel, createCounters } from '../src/counters.ts';
import { closeOf, type CloseKey, ERRORS, httpError, type HttpErrorKey } from '../src/errors.ts';
import { OPS_ERRORS } from '../src/ops/errors.ts';
import { joinFailure, publishFailure } from '../src/layer-errors.ts';
import { refusal } from '../src/refusal.ts';
import { Returns } from '../src/returns.ts';
import { TestGateway } from './support/gateway.ts';
import { RawClient, upgrade } from './support/raw.ts';

/** `Retry-After` of an upgrade that is refused. */
async function upgradeRefused(port: number): Promise<string | undefined> {
  await using client = await RawClient.connect(port);
  client.write(upgrade('/room/r'));
  return (await client.answer()).headers.get('retry-after');
}

const keys = Object.entries(ERRORS);
const http = keys.filter(([, row]) => row.status !== undefined).map(([key]) => key as HttpErrorKey);
const closes = keys.filter(([, row]) => row.close !== undefined).map(([key]) => key as CloseKey);

test.each(http)('%s over HTTP: a short JSON body that names it, and a closed connection', (key) => {
  const { status, headers, body } = httpError(key);
  expect(status).toBe(ERRORS[key].status);
  expect(body.length).toBeLessThanOrEqual(200);
  expect(JSON.parse(body.toString())).toEqual({ error: key, message: ERRORS[key].message });
  expect(headers).toMatchObject({ Connection: 'close', 'Content-Length': String(body.length) });
});

test.each(closes)('%s in a close frame: a code, and a reason that fits', (key) => {
  const { code, reason } = closeOf(key);
  expect(code).toBe(ERRORS[key].close);
  expect(new TextEncoder().encode(reason).length).toBeLessThanOrEqual(123);
});

test.each([
  ['public port', keys.map(([key]) => key), 'errors.ts'],
  ["operator's API", Object.keys(OPS_ERRORS), 'ops/errors.ts'],
] as const)('every key of the %s is one that something raises', (_, all, table) => {
  const source = join(import.meta.dirname, '../src');
  const others = globSync(join(source, '**/*.ts')).filter((file) => file !== join(source, table));
  const text = others.map((file) => readFileSync(file, 'utf8')).join('\n');
  expect(all.filter((key) => !text.includes(`'${key}'`))).toEqual([]);
});

test('what may be tried again says when, spread so that not all come at once', () => {
  const seconds = new Set(Array.from({ length: 200 }, () => Number(httpError('draining').headers['Retry-After'])));
  expect(seconds).toEqual(new Set([1, 2, 3, 4, 5]));
  expect(httpError('no_route').headers).not.toHaveProperty('Retry-After');
});

describe('those who are refused in a flood', () => {
  test('are told to come back the later the more they are, at most within a minute, and as ever once they have', () => {
    let now = 0;
    const returns = new Returns(() => now);
    const within = Array.from({ length: 20_000 }, () => returns.add());
    expect([within[0], within[999], within[1000], within[3999], within.at(-1)]).toEqual([5, 5, 6, 20, 60]);
    // Within that minute all of them have been let come.
    now += 30_000;
    expect(returns.add()).toBe(31);
    now += 31_000;
    expect(returns.add()).toBe(5);
  });

  test('are counted whatever they asked for, and nobody else is', () => {
    const counters = createCounters();
    for (let n = 0; n < 12_000; n += 1) expect(refusal(counters, 'no_route').headers).not.toHaveProperty('Retry-After');
    expect(counters.returns.add()).toBe(5);
    const seconds = Array.from({ length: 12_000 }, () => Number(refusal(counters, 'full').headers['Retry-After']));
    expect(counters.refused).toMatchObject({ full: 12_000, no_route: 12_000 });
    expect(Math.max(...seconds)).toBeGreaterThan(30);
    expect(Math.max(...seconds)).toBeLessThanOrEqual(60);
    expect(Math.min(...seconds)).toBe(1);
  });

  test('are spread on every wire', async () => {
    await using gateway = await TestGateway.start();
    for (let n = 0; n < 12_000; n += 1) gateway.gateway.counters.returns.add();
    await gateway.layer.close();
    const stream = { headers: { Accept: 'text/event-stream' } };
    const asked: readonly (readonly [string, () => Promise<string | null | undefined>])[] = [
      ['an upgrade', () => upgradeRefused(gateway.port)],
      ['a stream', async () => (await fetch(gateway.http('/room/r'), stream)).headers.get('retry-after')],
      ['a publish', async () => (await fetch(gateway.http('/room/r'), { method: 'POST', body: 'x' })).headers.get('retry-after')],
    ];
    for (const [what, ask] of asked) {
      const seconds = await Promise.all(Array.from({ length: 30 }, async () => Number(await ask())));
      expect([what, Math.min(...seconds) > 0, Math.max(...seconds) > 5]).toEqual([what, true, true]);
    }
  });
});

test('a wrong version is told the right one, a wrong method those that are allowed', () => {
  expect(httpError('version').headers).toMatchObject({ 'Sec-WebSocket-Version': '13' });
  expect(httpError('no_transport').headers).toMatchObject({ Upgrade: 'websocket' });
  expect(httpError('method', { Allow: 'GET, POST' }).headers).toMatchObject({ Allow: 'GET, POST' });
});

describe('a call of the layer that fails', () => {
  test.each([
    ['LAYER_AWAY', 'away', 'away'],
    ['LAYER_CLOSED', 'away', 'away'],
    ['OUTCOME_UNKNOWN', 'unknown', 'away'],
    ['TIMEOUT', 'unknown', 'away'],
    ['INVALID_NAME', 'bad_room', 'bad_room'],
    ['UNSUPPORTED', 'no_history', 'no_history'],
    ['MESSAGE_TOO_LARGE', 'too_large', 'too_large'],
    ['INVALID_MESSAGE', 'internal', 'internal'],
  ] as const)('with %s is %s to who publishes and %s to who joins', (code, published, joined) => {
    const error = new LayerError(code, 'why');
    expect([publishFailure(error), joinFailure(error)]).toEqual([published, joined]);
  });

  test('with anything else is a fault of ours', () => {
    expect([publishFailure(new TypeError('x')), joinFailure('x')]).toEqual(['internal', 'internal']);
  });

  test('is asked to be repeated only where nothing was done', () => {
    expect([httpError('unknown').status, httpError('unknown').headers['Retry-After']]).toEqual([504, undefined]);
    expect([httpError('away').status, httpError('away').headers['Retry-After']]).toEqual([503, expect.any(String)]);
  });
});

describe('labels', () => {
  test('a code that only a client may choose adds no series', () => {
    const labels = new Set(Array.from({ length: 5001 }, (_, code) => closeLabel(code)));
    expect([...labels].toSorted()).toEqual([...createCounters().closes.keys()].toSorted());
  });

  test('every status of the table has its counter from the start', () => {
    expect(Object.keys(createCounters().refused).toSorted()).toEqual(http.toSorted());
  });
});

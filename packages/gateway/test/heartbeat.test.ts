import { describe, expect, test } from 'vitest';
import { Stage } from './support/stage.ts';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { frame, RawClient } from './support/raw.ts';

describe('a heartbeat', () => {
  const tick = (stage: Stage, times: number): void => {
    for (let count = 0; count < times; count += 1) stage.deadlines.tick();
  };

  test('pings within the interval, spread, and again one interval after each answer', () => {
    const stage = new Stage();
    const sessions = Array.from({ length: 100 }, () => stage.session());
    const pingedAt = sessions.map(() => 0);
    for (let second = 1; second <= 25; second += 1) {
      tick(stage, 1);
      for (const [index, { link, session }] of sessions.entries()) {
        const ping = link.written.at(-1);
        if (link.writes === 0 || pingedAt[index] !== 0 || ping === undefined) continue;
        pingedAt[index] = second;
        session.answered(tokenOf(link.tokens));
      }
    }
    expect(pingedAt.every((second) => second >= 12)).toBe(true);
    expect(new Set(pingedAt).size).toBeGreaterThan(8);
    tick(stage, 25);
    expect(sessions.every(({ link }) => link.writes === 2)).toBe(true);
  });

  test('only the answer to the last ping counts; without it the link is cut after the timeout', () => {
    const stage = new Stage();
    const { session, link } = stage.session();
    while (link.writes === 0) tick(stage, 1);
    session.answered(0);
    session.answered(tokenOf(link.tokens) + 1);
    tick(stage, 9);
    expect(link.isDestroyed).toBe(false);
    tick(stage, 1);
    expect(link.isDestroyed).toBe(true);
    session.unlinked(link, { code: 1006, reason: '' });
    expect(stage.counters.closes.get('1006')).toBe(1);
  });

  test('a message must end within its time, and one that did is forgotten', () => {
    const stage = new Stage();
    const { session, link } = stage.session();
    session.partial(true);
    tick(stage, 20);
    session.partial(true);
    session.partial(false);
    if (link.tokens.length > 0) session.answered(tokenOf(link.tokens));
    tick(stage, 1);
    session.partial(true);
    let ticks = 0;
    for (; link.closedWith === undefined && ticks < 60; ticks += 1) {
      tick(stage, 1);
      if (link.tokens.length > 0) session.answered(tokenOf(link.tokens));
    }
    expect([ticks, link.closedWith]).toEqual([30, 1008]);
  });
});

function tokenOf(tokens: readonly number[]): number {
  return tokens.at(-1) ?? -1;
}

test('a real client lives through its heartbeats; one that answers no ping, or the wrong one, is cut off', async () => {
  await using gateway = await TestGateway.start(['--heartbeat-interval', '200ms', '--heartbeat-timeout', '200ms']);
  await using alive = await Client.open(gateway.ws('/room/1'));
  await using silent = await RawClient.upgraded(gateway.port, '/room/1');
  await using blind = await RawClient.upgraded(gateway.port, '/room/1');
  const pongs = setInterval(() => blind.write(frame(10, 'alive')), 20);
  await Promise.all([silent.closed(), blind.closed()]);
  clearInterval(pongs);
  expect(silent.frames.map(({ opcode }) => opcode)).toEqual([9]);
  await gateway.layer.publish('1', 'still here');
  await alive.until(() => alive.received.length === 1);
  await until(() => gateway.gateway.sessions === 1, 'the dead are gone');
  expect(gateway.gateway.counters.closes.get('1006')).toBe(2);
});

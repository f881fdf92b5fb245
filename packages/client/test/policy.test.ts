import { describe, expect, test } from 'vitest';
import { Backoff } from '../src/core/backoff.ts';
import { verdictOn } from '../src/core/policy.ts';
import { Stage } from './support/stage.ts';

const LINK_LOST = { code: 1006 };

describe('what follows the end of a link', () => {
  test.each([
    [4403, 'not_allowed'],
    [1008, 'policy'],
    [404, 'no_route'],
    [403, 'not_allowed'],
    [4409, 'replaced'],
  ])('%i is for ever, and says why', (code, why) => {
    const stage = new Stage();
    stage.welcome();
    stage.end({ code });
    expect([stage.state, stage.detail['code']]).toEqual(['closed', why]);
    stage.pass(3_600_000);
    stage.do((core) => core.wake());
    expect(stage.opened).toBe(1);
  });

  test.each([1000, 1001, 1002, 1003, 1005, 1006, 1007, 1009, 1011, 500, 502, 504])('after %i it is tried again', (code) => {
    const stage = new Stage();
    stage.welcome();
    stage.end({ code });
    expect(stage.state).toBe('waiting');
    expect(stage.wait()).toBeLessThanOrEqual(20_000);
  });

  test('1012 is followed at once, spread over a second, also where clients fail alike', () => {
    for (const random of [0, 0.999]) {
      const stage = new Stage();
      stage.welcome();
      stage.random = random;
      stage.end({ code: 1012 });
      expect(stage.detail['after']).toBeCloseTo(random * 1000);
    }
  });

  test.each([1013, 4429, 429, 503])('after %i nobody comes back within a second', (code) => {
    const stage = new Stage();
    stage.random = 0;
    stage.welcome();
    stage.end({ code });
    expect(stage.detail['after']).toBeGreaterThanOrEqual(1000);
  });

  test('Retry-After is obeyed, also by a page that wakes up', () => {
    const stage = new Stage();
    stage.random = 0;
    stage.end({ code: 503, retryAfter: 7000 });
    stage.do((core) => core.wake());
    stage.pass(6999);
    expect(stage.opened).toBe(1);
    stage.pass(1);
    expect(stage.opened).toBe(2);
  });

  test('other answers below 500 say that this is not the way in', () => {
    for (const code of [0, 200, 302, 400, 405, 406, 415, 426]) expect(verdictOn({ code })).toEqual({ other: true });
  });
});

describe('the waits between attempts', () => {
  test('are drawn from a span that doubles, from 100 ms to 20 s', () => {
    const spans = [0, 0.999_999].map((random) => {
      const backoff = new Backoff({ random: () => random, now: () => 0, buffered: () => 0 });
      return Array.from({ length: 12 }, () => Math.round(backoff.next()));
    });
    expect(spans[0]).toEqual(Array.from({ length: 12 }, () => 100));
    expect(spans[1]).toEqual([200, 300, 500, 900, 1700, 3300, 6500, 12_900, 20_000, 20_000, 20_000, 20_000]);
  });

  test('go on where they were after a connection that lived less than ten seconds, and begin anew after one that lived longer', () => {
    const stage = new Stage();
    const waits: number[] = [];
    for (const life of [0, 5000, 9999, 10_000]) {
      stage.welcome();
      stage.pass(life);
      stage.end(LINK_LOST);
      waits.push(stage.wait());
    }
    expect(waits).toEqual([150, 200, 300, 150]);
  });

  test('are cut short when the network or the page is back', () => {
    const stage = new Stage();
    stage.welcome();
    stage.random = 0.999;
    for (let attempt = 0; attempt < 5; attempt += 1) {
      stage.end(LINK_LOST);
      stage.wait();
      stage.welcome();
    }
    stage.end(LINK_LOST);
    expect(stage.detail['after']).toBeGreaterThan(3000);
    stage.do((core) => core.wake());
    expect(stage.wait()).toBe(0);
  });
});

describe('tokens', () => {
  test('are asked for before the first link, and again after 4401', () => {
    const stage = new Stage({ token: () => '' });
    expect(stage.told('token')).toHaveLength(1);
    stage.do((core) => core.token(stage.told('token')[0]?.[1] as number, 'one'));
    expect(stage.actions.findLast(([name]) => name === 'open')).toEqual(['open', expect.any(Number), 'websocket', 'one']);
    stage.welcome();
    stage.end(LINK_LOST);
    stage.wait();
    expect(stage.told('token')).toHaveLength(1);
    stage.welcome();
    stage.end({ code: 4401 });
    stage.pass(1000);
    expect(stage.told('token')).toHaveLength(2);
    stage.do((core) => core.token(stage.told('token')[1]?.[1] as number, 'two'));
    expect(stage.actions.findLast(([name]) => name === 'open')?.[3]).toBe('two');
  });

  test('that are said once cannot be renewed: 4401 is for ever', () => {
    const stage = new Stage({ token: 'one' });
    stage.do((core) => core.token(stage.told('token')[0]?.[1] as number, 'one'));
    stage.welcome();
    stage.end({ code: 4401 });
    expect([stage.state, stage.detail['code']]).toEqual(['closed', 'expired']);
  });

  test('that cannot be had are asked for again later, and say nothing of the transport', () => {
    const stage = new Stage({ token: () => '' });
    stage.do((core) => core.token(stage.told('token')[0]?.[1] as number, undefined));
    expect([stage.state, stage.told('probe')]).toEqual(['waiting', []]);
    stage.pass(stage.detail['after'] as number);
    // The program never answers.
    stage.pass(9999);
    expect(stage.state).toBe('connecting');
    stage.pass(1);
    expect([stage.state, stage.detail['transport']]).toEqual(['waiting', 'websocket']);
  });

  test('are renewed on the link before they end', () => {
    const stage = new Stage({ token: () => '' });
    stage.do((core) => core.token(stage.told('token')[0]?.[1] as number, 'one'));
    stage.frame({ type: 'welcome', session: 's', expires: 100 });
    for (const token of ['two', 'three']) {
      const asked = stage.told('token').length;
      stage.live(79_000);
      expect(stage.told('token')).toHaveLength(asked);
      stage.pass(1000);
      expect(stage.told('token')).toHaveLength(asked + 1);
      stage.do((core) => core.token(stage.link, token));
      expect(stage.lastSent()).toEqual({ type: 'token', token });
      stage.frame({ type: 'token', expires: 100 });
    }
    expect(stage.opened).toBe(1);
  });
});

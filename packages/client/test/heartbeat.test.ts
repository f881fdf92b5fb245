import { expect, test } from 'vitest';
import { Stage } from './support/stage.ts';

const pings = (stage: Stage): number => stage.sent().filter(({ type }) => type === 'ping').length;

function open(): Stage {
  const stage = new Stage();
  stage.welcome();
  return stage;
}

test('a link that was silent for 30 s is asked, and dead after 35 s', () => {
  const stage = open();
  stage.pass(29_999);
  expect(pings(stage)).toBe(0);
  stage.pass(1);
  expect(pings(stage)).toBe(1);
  stage.pass(4999);
  expect(stage.state).toBe('open');
  stage.pass(1);
  expect(stage.state).toBe('waiting');
  expect(stage.told('close')).toEqual([['close', stage.link]]);
});

test('whatever comes proves that it lives', () => {
  const stage = open();
  for (let look = 0; look < 10; look += 1) {
    stage.pass(34_000);
    if (look % 2 === 0) stage.frame({ type: 'pong' });
    else stage.do((core) => core.heard(stage.link));
  }
  expect([stage.state, pings(stage)]).toEqual(['open', 10]);
});

test('a program that stood still reads before it judges', () => {
  const stage = open();
  stage.pass(30_000);
  stage.sleep(3_600_000);
  expect([stage.state, pings(stage)]).toEqual(['open', 2]);
  stage.frame({ type: 'pong' });
  stage.pass(30_000);
  expect(stage.state).toBe('open');
});

test('and judges all the same, if its timers are always late', () => {
  const stage = open();
  for (let look = 0; look < 4 && stage.state === 'open'; look += 1) stage.sleep(60_000);
  expect(stage.state).toBe('waiting');
});

test('a page that is looked at again asks at once, and a dead link is known 5 s later', () => {
  const stage = open();
  stage.do((core) => core.wake());
  expect(pings(stage)).toBe(1);
  stage.pass(2000);
  // Waking up again and again does not put it off.
  stage.do((core) => core.wake());
  stage.pass(3000);
  expect(stage.state).toBe('waiting');
});

test('both times can be set', () => {
  const stage = new Stage({ heartbeat: { every: 100, timeout: 150 } });
  stage.welcome();
  stage.pass(149);
  expect(stage.state).toBe('open');
  stage.pass(1);
  expect(stage.state).toBe('waiting');
});

test('a page that is put away lets go of its link, and takes it up again when it is back', () => {
  const stage = open();
  stage.do((core) => core.suspend());
  expect([stage.state, stage.told('close')]).toEqual(['waiting', [['close', stage.link]]]);
  stage.pass(3_600_000);
  expect(stage.opened).toBe(1);
  stage.do((core) => core.wake());
  stage.pass(0);
  expect([stage.state, stage.opened]).toEqual(['connecting', 2]);
});

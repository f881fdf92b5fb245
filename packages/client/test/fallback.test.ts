import { describe, expect, test } from 'vitest';
import { Stage } from './support/stage.ts';

const REFUSED = { code: 1006 };
const FIVE_MINUTES = 300_000;

/** Answers the probe that was asked for last. */
function probed(stage: Stage, code?: number): void {
  const [, id] = stage.told('probe').at(-1) ?? [];
  stage.do((core) => core.probed(id as number, code === undefined ? {} : { code }));
}

describe('which transport', () => {
  test('a WebSocket that is refused by a gateway that can be reached is followed by a stream, at once', () => {
    const stage = new Stage();
    stage.end(REFUSED);
    expect([stage.told('probe').length, stage.opened, stage.state]).toEqual([1, 1, 'connecting']);
    probed(stage, 426);
    expect([stage.transport, stage.opened, stage.state]).toEqual(['sse', 2, 'connecting']);
  });

  test('one that is silent for 3 s too, and a stream of which nothing comes in 3 s is followed by polls', () => {
    const stage = new Stage();
    stage.pass(2999);
    expect(stage.transport).toBe('websocket');
    stage.pass(1);
    expect(stage.transport).toBe('sse');
    stage.pass(3000);
    expect(stage.transport).toBe('poll');
    expect(stage.told('probe')).toEqual([]);
    // After the last one it begins anew, later.
    stage.pass(10_000);
    expect(stage.state).toBe('waiting');
    stage.wait();
    expect(stage.transport).toBe('websocket');
  });

  test('a network that is away says nothing of a transport', () => {
    const stage = new Stage();
    stage.end(REFUSED);
    probed(stage);
    expect(stage.state).toBe('waiting');
    stage.wait();
    expect(stage.transport).toBe('websocket');
  });

  test.each([
    [503, 'waiting'],
    [404, 'closed'],
    [403, 'closed'],
  ])('what a probe finds is what counts: %i', (status, state) => {
    const stage = new Stage();
    stage.end(REFUSED);
    probed(stage, status);
    expect([stage.state, stage.opened]).toEqual([state, 1]);
  });

  test('a WebSocket that has worked on this page gets a second chance', () => {
    const stage = new Stage();
    stage.welcome();
    stage.end(REFUSED);
    stage.wait();
    stage.end(REFUSED);
    probed(stage, 426);
    stage.wait();
    expect(stage.transport).toBe('websocket');
    stage.end(REFUSED);
    probed(stage, 426);
    expect(stage.transport).toBe('sse');
  });

  test('what worked is begun with, by the next bus of the page too', () => {
    const memory = new Map();
    const stage = new Stage({ memory });
    stage.pass(3000);
    stage.welcome();
    stage.end({});
    stage.wait();
    expect(stage.transport).toBe('sse');
    expect(new Stage({ memory }).detail).toEqual({ transport: 'sse' });
    expect(new Stage({ memory, transports: ['websocket', 'poll'] }).detail).toEqual({ transport: 'websocket' });
  });

  test('that a bus may not choose says nothing of what others of the page try first', () => {
    const memory = new Map();
    const stage = new Stage({ memory, transports: ['poll'] });
    stage.welcome();
    expect(stage.state).toBe('open');
    expect(new Stage({ memory }).detail).toEqual({ transport: 'websocket' });
  });

  test('after five minutes the best one is tried again beside the one that stands, and takes over', () => {
    const stage = new Stage();
    stage.do((core) => core.join('kept', {}));
    stage.pass(3000);
    stage.welcome();
    stage.joined({ position: 'e:1' });
    const stream = stage.link;
    stage.live(FIVE_MINUTES - 1);
    expect(stage.opened).toBe(2);
    stage.live(1);
    expect([stage.transport, stage.state]).toEqual(['websocket', 'open']);
    // Not yet: in five minutes.
    stage.end(REFUSED);
    expect([stage.state, stage.told('probe')]).toEqual(['open', []]);
    for (let waited = 0; waited < FIVE_MINUTES; waited += 10_000) {
      stage.pass(10_000);
      stage.frame({ type: 'pong' }, stream);
    }
    expect([stage.opened, stage.transport]).toEqual([4, 'websocket']);
    stage.welcome();
    expect(stage.lastSent()).toEqual({ type: 'join', room: 'kept', ref: expect.any(Number), since: 'e:1' });
    stage.joined({ position: 'e:1', recovered: true });
    expect([stage.told('close').at(-1), stage.detail]).toEqual([['close', stream], { transport: 'websocket' }]);
  });
});

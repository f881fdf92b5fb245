import { describe, expect, test } from 'vitest';
import type { PublishFrame } from '../src/frames.ts';
import { Stage } from './support/stage.ts';

/** A stage, and how what was published on it has ended. */
class Publishing extends Stage {
  readonly outcomes: Record<string, string> = {};

  publish(text: string, key?: string): void {
    this.do((core) => core.publish('r', { text }, key, (failure, position) => (this.outcomes[text] = failure?.code ?? `at ${position}`)));
  }

  /** The frames that were sent with this text. */
  frames(text: string): PublishFrame[] {
    return this.sent().filter((frame): frame is PublishFrame => frame.type === 'publish' && frame.text === text);
  }

  answer(text: string, code?: string): void {
    const ref = this.frames(text).at(-1)?.ref as number;
    this.frame(code === undefined ? { type: 'published', room: 'r', ref, position: 'e:1' } : { type: 'error', code, ref });
  }

  reconnect(): void {
    this.end({ code: 1006 });
    this.wait();
    this.welcome();
  }
}

function open(): Publishing {
  const stage = new Publishing();
  stage.welcome();
  return stage;
}

describe('a publish', () => {
  test('is sent at once, and answered with its position or a code', () => {
    const stage = open();
    for (const text of ['a', 'b']) stage.publish(text);
    stage.answer('a');
    stage.answer('b', 'not_allowed');
    expect(stage.outcomes).toEqual({ a: 'at e:1', b: 'not_allowed' });
  });

  test('waits for the link, in order', () => {
    const stage = new Publishing();
    for (const text of ['a', 'b', 'c']) stage.publish(text);
    stage.welcome();
    expect(stage.sent().map((frame) => (frame as PublishFrame).text)).toEqual(['a', 'b', 'c']);
  });

  test('that was never sent fails with away after ten seconds, one without an answer with unknown', () => {
    const stage = open();
    stage.publish('sent');
    stage.live(5000);
    stage.end({ code: 1006 });
    expect(stage.outcomes).toEqual({ sent: 'unknown' });
    stage.publish('waiting');
    const began = stage.now;
    while (stage.outcomes['waiting'] === undefined) stage.pass(100);
    expect([stage.outcomes['waiting'], stage.now - began]).toEqual(['away', 10_000]);
    stage.wait();
    stage.welcome();
    stage.publish('mute');
    stage.live(10_000);
    expect(stage.outcomes['mute']).toBe('unknown');
    expect(stage.frames('waiting')).toEqual([]);
  });

  test('with a key is sent again after a cut, before what follows it, and one without is not', () => {
    const stage = open();
    stage.publish('keyed', 'k');
    stage.publish('bare');
    stage.publish('keyed too', 'l');
    stage.end({ code: 1006 });
    stage.publish('later');
    stage.wait();
    stage.welcome();
    expect(stage.outcomes).toEqual({ bare: 'unknown' });
    expect(
      stage
        .sent(stage.link)
        .filter(({ type }) => type === 'publish')
        .map((frame) => [(frame as PublishFrame).text, (frame as PublishFrame).id]),
    ).toEqual([
      ['keyed', 'k'],
      ['keyed too', 'l'],
      ['later', undefined],
    ]);
  });

  test('with a key is sent again where nobody knows, or the broker is away, and ends with what is known then', () => {
    const stage = open();
    stage.publish('a', 'k');
    stage.answer('a', 'unknown');
    stage.pass(500);
    expect(stage.frames('a')).toHaveLength(2);
    stage.answer('a', 'away');
    stage.live(500);
    expect(stage.frames('a')).toHaveLength(3);
    stage.answer('a');
    expect(stage.outcomes).toEqual({ a: 'at e:1' });
  });

  test('that closed the link because it was too large is not sent again', () => {
    const stage = new Publishing({ buffer: 1_000_000 });
    stage.welcome();
    stage.publish('x'.repeat(100_000), 'k');
    stage.publish('small', 'l');
    stage.end({ code: 1009 });
    stage.wait();
    stage.welcome();
    expect(Object.values(stage.outcomes)).toEqual(['too_large']);
    expect(stage.frames('small')).toHaveLength(2);
  });

  test('takes its turn when the wire is full, and is refused when too much waits', () => {
    const stage = open();
    stage.buffered = 999;
    stage.publish('a');
    expect(stage.frames('a')).toEqual([]);
    stage.publish('x'.repeat(900));
    stage.publish('y'.repeat(900));
    expect(Object.values(stage.outcomes)).toEqual(['full']);
    stage.buffered = 0;
    stage.pass(20);
    expect(stage.frames('a')).toHaveLength(1);
    // What is longer than all there is room for goes alone.
    stage.publish('z'.repeat(900));
    expect(stage.frames('z'.repeat(900))).toHaveLength(1);
  });

  test('of a bus that is closed fails with closed', () => {
    const stage = open();
    stage.publish('sent');
    stage.do((core) => core.close('closed'));
    stage.publish('late');
    expect(stage.outcomes).toEqual({ sent: 'unknown', late: 'closed' });
  });
});

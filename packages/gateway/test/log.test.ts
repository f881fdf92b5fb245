import { PassThrough, Writable } from 'node:stream';
import { describe, expect, test, vi } from 'vitest';
import { StreamLog } from '../src/log.ts';

function linesOf(stream: PassThrough): Record<string, unknown>[] {
  const text = String(stream.read() ?? '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('lines', () => {
  test('one JSON object a line, with time, level and message', () => {
    const stream = new PassThrough();
    new StreamLog({ level: 'info', stream, readable: false }).warn('layer away', { reason: new Error('no route'), attempt: 3, ok: false, none: null });
    expect(linesOf(stream)).toEqual([
      { time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/), level: 'warn', message: 'layer away', reason: 'no route', attempt: 3, ok: false, none: null },
    ]);
  });

  test('values are cut at 256 characters, and hold no control character', () => {
    const stream = new PassThrough();
    const log = new StreamLog({ level: 'info', stream, readable: false });
    const hostile = `\u001b[31m\r\n\u009b\u2028\u202e\ud800${'x'.repeat(1_000_000)}`;
    log.info('refused', { hostile });
    const text = String(stream.read());
    expect(text.length).toBeLessThan(500);
    expect(text.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u);
    expect(JSON.parse(text)).toMatchObject({ hostile: expect.stringMatching(/…$/) });
  });

  test('at a terminal they are for people', () => {
    const stream = new PassThrough();
    new StreamLog({ level: 'info', stream, readable: true }).info('ready', { url: 'http://localhost:8080/', note: 'two words\u001b' });
    expect(String(stream.read())).toMatch(/^\d\d:\d\d:\d\d info {2}ready {2}url=http:\/\/localhost:8080\/ {2}note="two words\\u001b"\n$/);
  });

  test('what is below the level is not written', () => {
    const stream = new PassThrough();
    const log = new StreamLog({ level: 'warn', stream, readable: false });
    log.debug('a');
    log.info('b');
    log.error('c');
    expect(linesOf(stream).map(({ message }) => message)).toEqual(['c']);
  });
});

describe('limits', () => {
  test('a kind has twenty lines in a window; the rest is counted and told', async () => {
    const stream = new PassThrough();
    const log = new StreamLog({ level: 'info', stream, readable: false });
    for (let index = 0; index < 1000; index += 1) log.info('refused', { index });
    log.info('another');
    expect(linesOf(stream)).toHaveLength(21);
    expect(log.dropped).toBe(980);
    await log.close();
    expect(linesOf(stream)).toEqual([expect.objectContaining({ message: 'refused', suppressed: 980 })]);
  });

  test('a new window begins after ten seconds', () => {
    vi.useFakeTimers();
    try {
      const stream = new PassThrough();
      const log = new StreamLog({ level: 'info', stream, readable: false });
      for (let index = 0; index < 30; index += 1) log.info('refused');
      vi.advanceTimersByTime(10_000);
      log.info('refused');
      expect(linesOf(stream).map(({ suppressed }) => suppressed)).toEqual([...Array.from({ length: 20 }), 10, undefined]);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('a reader that fails', () => {
  test('a broken pipe costs lines and nothing else', async () => {
    const stream = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      },
    });
    const log = new StreamLog({ level: 'info', stream, readable: false });
    log.info('a');
    await new Promise((resolve) => stream.once('close', resolve));
    log.info('b');
    expect(log.dropped).toBe(1);
    await log.close();
  });

  test('a reader that stands still bounds the memory, and hears how much it missed', async () => {
    const pending: (() => void)[] = [];
    let taken = '';
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        taken += chunk.toString();
        pending.push(done);
      },
    });
    const log = new StreamLog({ level: 'info', stream, readable: false });
    const big = 'x'.repeat(256);
    for (let index = 0; index < 20_000; index += 1) log.info(`kind ${index}`, { a: big, b: big, c: big });
    expect(stream.writableLength).toBeLessThan(2_000_000);
    expect(log.dropped).toBeGreaterThan(10_000);
    const missed = log.dropped;
    while (pending.length > 0) {
      pending.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    log.info('after');
    expect(taken.trimEnd().split('\n').at(-1)).toContain(`"lines_dropped_before":${missed}`);
  });
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { EventSource } from 'undici';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TestGateway, until } from './support/gateway.ts';

const GUIDE = readFileSync(join(import.meta.dirname, '../../../docs/guides/browser.md'), 'utf8');
const HISTORY = [{ rooms: '>', size: 100, ageMs: 60_000 }];

/** The program of the guide that has this in it. */
function recipe(mark: string): string {
  const [, program] = [...GUIDE.matchAll(/```js\n(.*?)```/gs)].find(([, text = '']) => text.includes(mark)) ?? [];
  if (program === undefined) throw new Error(`the guide has no program with ${mark}`);
  return program;
}

let gateway: TestGateway;

beforeEach(async () => {
  gateway = await TestGateway.start([], HISTORY);
});

afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
});

/** As much of a page as the programs use, whose origin is the gateway. */
class Page implements Disposable {
  readonly appended: unknown[] = [];
  loads = 0;
  readonly #streams: EventSource[] = [];
  readonly #closed = new AbortController();

  /** Resolves when the program has ended by itself, or with the page. */
  async run(program: string): Promise<void> {
    const streams = this.#streams;
    const globals = {
      crypto,
      setTimeout,
      append: (shown: unknown) => void this.appended.push(shown),
      load: () => void (this.loads += 1),
      fetch: (path: string, init?: RequestInit) => fetch(gateway.http(path), { ...init, signal: this.#closed.signal }),
      EventSource: function open(path: string): EventSource {
        const stream = new EventSource(gateway.http(path));
        streams.push(stream);
        return stream;
      },
    };
    await (runInNewContext(`(async () => {${program}})()`, globals) as Promise<void>).catch((error: unknown) => {
      if (!this.#closed.signal.aborted) throw error;
    });
  }

  [Symbol.dispose](): void {
    this.#closed.abort();
    for (const stream of this.#streams) stream.close();
  }
}

describe('a page without the client, as the guide has it,', () => {
  test('has the newest of a room by EventSource, and then what comes', async () => {
    await gateway.publish('chat.1', 'before', 'two\nlines');
    using page = new Page();
    await page.run(recipe('EventSource'));
    await until(() => page.appended.length === 2 && page.loads === 1, 'it has the newest');
    await gateway.publish('chat.1', 'after');
    await until(() => page.appended.length === 3, 'it has what comes');
    expect(page.appended).toEqual(['before', 'two\nlines', 'after']);
  });

  test('publishes by fetch', async () => {
    using page = new Page();
    await page.run(recipe('Idempotency-Key'));
    const { messages } = await gateway.layer.history('chat.1', undefined, { last: 9 });
    expect(messages.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['hi']);
  });

  test('polls, and goes on where it was', async () => {
    await gateway.publish('chat.1', 'before');
    using page = new Page();
    const ended = page.run(recipe('poll=25'));
    for (const payload of ['text', '{"n":1}', 'more']) {
      await until(() => gateway.gateway.state.sessions.poll === 1, 'it waits');
      const shown = page.appended.length;
      await gateway.publish('chat.1', payload);
      await until(() => page.appended.length > shown, 'it has it');
    }
    expect([page.appended, page.loads]).toEqual([['text', { n: 1 }, 'more'], 0]);
    page[Symbol.dispose]();
    await ended;
  });
});

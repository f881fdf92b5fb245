import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { requireBinary } from '../../support/binaries.ts';
import { Child } from '../../support/child.ts';

const LISTENS = /^WebDriver BiDi listening on (ws:\S+)/;

interface Answer {
  readonly id?: number;
  readonly type: 'success' | 'error' | 'event';
  readonly result?: unknown;
  readonly message?: string;
}

/** Debian's Firefox without a window, driven by WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/): Playwright drives a build of its own alone. */
export class Firefox implements AsyncDisposable {
  readonly #child: Child;
  readonly #socket: WebSocket;
  readonly #profile: string;
  readonly #asked = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();

  private constructor(child: Child, socket: WebSocket, profile: string) {
    this.#child = child;
    this.#socket = socket;
    this.#profile = profile;
    socket.on('message', (data: Buffer) => this.#take(JSON.parse(data.toString()) as Answer));
  }

  static async start(): Promise<Firefox> {
    const profile = await mkdtemp(join(tmpdir(), 'busgate-firefox-'));
    const args = ['--headless', '--no-remote', '--remote-debugging-port', '0', '--profile', profile];
    const child = new Child(await requireBinary('firefox-esr'), args, { env: { HOME: profile, MOZ_HEADLESS: '1' } });
    await child.lines.until((lines) => lines.some((line) => LISTENS.test(line)), 'Firefox listens');
    const address = child.lines.all.map((line) => LISTENS.exec(line)?.[1]).find((url) => url !== undefined);
    const socket = new WebSocket(`${address}/session`);
    await once(socket, 'open');
    const firefox = new Firefox(child, socket, profile);
    await firefox.ask('session.new', { capabilities: {} });
    return firefox;
  }

  async open(url: string): Promise<FirefoxPage> {
    const { context } = (await this.ask('browsingContext.create', { type: 'tab' })) as { context: string };
    await this.ask('browsingContext.navigate', { context, url, wait: 'complete' });
    return new FirefoxPage(this, context);
  }

  ask(method: string, params: object): Promise<unknown> {
    const id = this.#asked.size + 1;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  #take({ id, type, result, message }: Answer): void {
    const asked = this.#asked.get(id ?? 0);
    if (type === 'error') asked?.reject(new Error(message));
    else asked?.resolve(result);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.terminate();
    this.#child.signal('SIGTERM');
    await this.#child.exited;
    await rm(this.#profile, { recursive: true, force: true });
  }
}

/** One tab. */
export class FirefoxPage {
  readonly #firefox: Firefox;
  readonly #context: string;

  constructor(firefox: Firefox, context: string) {
    this.#firefox = firefox;
    this.#context = context;
  }

  /** What the expression, or its promise, is once it has gone through JSON. */
  async evaluate(expression: string): Promise<unknown> {
    const asked = { expression: `(async () => JSON.stringify(await (${expression})))()`, target: { context: this.#context }, awaitPromise: true };
    const answer = (await this.#firefox.ask('script.evaluate', asked)) as { result?: { value?: string }; exceptionDetails?: { text: string } };
    if (answer.exceptionDetails !== undefined) throw new Error(answer.exceptionDetails.text);
    return answer.result?.value === undefined ? undefined : JSON.parse(answer.result.value);
  }

  async close(): Promise<void> {
    await this.#firefox.ask('browsingContext.close', { context: this.#context });
  }
}

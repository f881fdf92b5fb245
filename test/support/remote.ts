import { join } from 'node:path';
import type { LayerOptions, LayerStats, LayerStatus, Message } from '@busgate/layer';
import { Child, type ChildOptions } from './child.ts';

const SCRIPT = join(import.meta.dirname, 'remote-layer.ts');

interface Answer {
  readonly outcome: string;
  readonly value?: unknown;
}

/** A layer in a process of its own on this machine. */
export function startRemoteLayer(url: string, options: LayerOptions): Promise<RemoteLayer> {
  return RemoteLayer.start((...program) => new Child(...program), url, options);
}

/** A layer in a process of its own. */
export class RemoteLayer implements AsyncDisposable {
  readonly #child: Child;
  #asked = 0;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** `run` starts a program, wherever that is to be. */
  static async start(
    run: (command: string, args: readonly string[], options: ChildOptions) => Child,
    url: string,
    options: LayerOptions = {},
  ): Promise<RemoteLayer> {
    const child = run(process.execPath, ['--conditions=@busgate/source', SCRIPT, url, JSON.stringify(options)], { stdin: 'pipe' });
    await child.output.find((line) => line === '{"ready":true}', 'a layer that is open');
    return new RemoteLayer(child);
  }

  /** How a call ended: `ok`, or the code of its error. */
  async call(call: 'publish' | 'listen' | 'join' | 'groupAdd' | 'lease' | 'hold' | 'settle' | 'isLost', ...args: readonly string[]): Promise<Answer> {
    return this.#ask(call, args);
  }

  async receive(channel: string): Promise<Message> {
    return (await this.#ask('receive', [channel])).value as Message;
  }

  /** Its event loop stands still for so long; resolves when it does. */
  async block(ms: number): Promise<void> {
    await this.#ask('block', [`${ms}`]);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.signal(signal);
    if (signal === 'SIGSTOP') this.#child.awaitStop();
  }

  async status(): Promise<LayerStatus> {
    return (await this.#ask('status', [])).value as LayerStatus;
  }

  async stats(): Promise<LayerStats> {
    return (await this.#ask('stats', [])).value as LayerStats;
  }

  /** What its listener of a room has been given so far; `GAP` for a gap. */
  events(room: string): string[] {
    return this.#child.output.all
      .map((line) => JSON.parse(line) as { room?: string; event?: string })
      .flatMap((said) => (said.room === room && said.event !== undefined ? [said.event] : []));
  }

  /** Ends it at once (SIGKILL). */
  async kill(): Promise<void> {
    await this.#child.kill();
  }

  /** It stands still (SIGSTOP) from the return on, until {@link thaw}. */
  freeze(): void {
    this.#child.signal('SIGSTOP');
    this.#child.awaitStop();
  }

  thaw(): void {
    this.#child.signal('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }

  async #ask(call: string, args: readonly string[]): Promise<Answer> {
    this.#asked += 1;
    const id = this.#asked;
    this.#child.write(`${JSON.stringify({ id, call, args })}\n`);
    const line = await this.#child.output.find((said) => said.startsWith(`{"id":${id},`), `an answer to ${call}`);
    return JSON.parse(line) as Answer;
  }
}

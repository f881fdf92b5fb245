import { once } from 'node:events';
import { Agent, type IncomingMessage, request as send } from 'node:http';
import type { TestGateway } from './gateway.ts';

/** What a question of histories is answered. */
export interface HistoryAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly messages: readonly Record<string, unknown>[];
  readonly cursor: string;
  readonly recovered: boolean;
  readonly gap?: true;
  readonly more?: true;
  readonly error?: string;
}

/** Asks by GET; with a body, which is an object or as it stands, by POST. */
export async function ask(
  gateway: Pick<TestGateway, 'http'>,
  path: string,
  { body, ...init }: { method?: string; headers?: Record<string, string>; body?: object | string } = {},
): Promise<HistoryAnswer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const posted = body === undefined ? {} : { method: 'POST', body: text, headers: { 'Content-Type': 'application/json', ...init.headers } };
  const answer = await fetch(gateway.http(path), { ...init, ...posted });
  const read = await answer.text();
  return { status: answer.status, headers: Object.fromEntries(answer.headers), ...(read === '' ? {} : JSON.parse(read)) } as HistoryAnswer;
}

/** A client that keeps one connection, and asks on it one request after the other. */
export class KeptConnection implements AsyncDisposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #port: number;
  /** Connections that it has had to open. */
  opened = 0;

  constructor(port: number) {
    this.#port = port;
  }

  async ask(path: string): Promise<HistoryAnswer> {
    const request = send({ port: this.#port, host: '127.0.0.1', path, agent: this.#agent }).end();
    request.once('socket', () => {
      if (!request.reusedSocket) this.opened += 1;
    });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return { status: response.statusCode ?? 0, headers: response.headers as Record<string, string>, ...JSON.parse(Buffer.concat(chunks).toString()) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
  }
}

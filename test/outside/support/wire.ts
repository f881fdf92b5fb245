import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect } from 'node:http2';
import type { Readable } from 'node:stream';
import { Collector } from '../../support/events.ts';

/**
 * The answer to one GET, as it comes: over HTTP/2 where there is a certificate to believe, else over HTTP/1.1. It has a connection of its own: one that is used again may just be
 * ended by a proxy.
 */
export class Wire implements AsyncDisposable {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** The text so far, each time that more of it came. */
  readonly #texts = new Collector<string>();
  readonly #end: () => void;

  private constructor(status: number, headers: Readonly<Record<string, unknown>>, body: Readable, end: () => void) {
    this.status = status;
    this.headers = headers;
    this.#end = end;
    let text = '';
    body.setEncoding('utf8');
    body.on('data', (more: string) => this.#texts.push((text += more)));
    body.on('end', () => this.#texts.end(new Error('the answer has ended')));
    body.on('error', (error) => this.#texts.end(error));
  }

  static get(origin: string, path: string, headers: Readonly<Record<string, string>> = {}, ca?: string): Promise<Wire> {
    return ca === undefined ? Wire.#ofHttp(origin, path, headers) : Wire.#ofHttp2(origin, path, headers, ca);
  }

  static async #ofHttp(origin: string, path: string, headers: Readonly<Record<string, string>>): Promise<Wire> {
    const request = get(origin + path, { headers, agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return new Wire(response.statusCode as number, response.headers, response, () => request.destroy());
  }

  static async #ofHttp2(origin: string, path: string, headers: Readonly<Record<string, string>>, ca: string): Promise<Wire> {
    const session = connect(origin, { ca });
    // The request is told of it.
    session.on('error', () => undefined);
    try {
      const stream = session.request({ ':path': path, ...headers });
      const [head] = (await once(stream, 'response')) as [Readonly<Record<string, unknown>>];
      return new Wire(Number(head[':status']), head, stream, () => session.destroy());
    } catch (error) {
      session.destroy();
      throw error;
    }
  }

  /** The first text of it that matches, of all that came so far. */
  async find(pattern: RegExp): Promise<RegExpExecArray> {
    return pattern.exec(await this.#texts.find((text) => pattern.test(text), String(pattern))) as RegExpExecArray;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
  }
}

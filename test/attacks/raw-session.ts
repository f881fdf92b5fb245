import { frame, type RawClient } from '../../packages/gateway/test/support/raw.ts';
import type { Frame } from '../e2e/clients.ts';
import { openRaw } from './stage.ts';

/** A session of `/socket` whose frames no library would send. */
export class RawSession {
  readonly client: RawClient;

  constructor(client: RawClient) {
    this.client = client;
  }

  static async open(port: number): Promise<RawSession> {
    const session = new RawSession(await openRaw(port, '/socket'));
    await session.client.until((frames) => frames.length === 1);
    return session;
  }

  get frames(): Frame[] {
    return this.client.frames.filter(({ opcode }) => opcode === 1).map(({ payload }) => JSON.parse(payload.toString()) as Frame);
  }

  /** The answer to a frame, without its text for people. */
  async ask(text: string): Promise<Frame> {
    const before = this.frames.length;
    this.client.write(frame(1, text));
    await this.client.until(() => this.frames.length > before);
    const { message: _, ...answer } = this.frames[before] as Frame;
    return answer as Frame;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
  }
}

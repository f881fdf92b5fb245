import { openSync, writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Consumer, type Data } from '@busgate/consumer';

/** The longest that a message is handled, in milliseconds: so stops and kills find handlers at work. */
const LONGEST_MS = 20;
/** What is written here is there whatever becomes of this process. */
const file = openSync(process.env['WITNESS'] as string, 'a');

/** Echoes, and writes when it begins and ends to handle what. */
export default class Witness extends Consumer {
  override async connect(): Promise<void> {
    const { resumed, undone } = this.socket;
    await this.#witness('connect', { resumed, undone }, () => this.accept());
  }

  override async receive(message: Data): Promise<void> {
    await this.#witness('receive', { text: Number(message) }, async () => {
      await pause(Math.random() * LONGEST_MS);
      await this.send(message);
    });
  }

  override async disconnect(code: number): Promise<void> {
    await this.#witness('disconnect', { code }, () => Promise.resolve());
  }

  async #witness(event: string, what: object, handle: () => Promise<void>): Promise<void> {
    const client = this.params['rest'];
    const write = (edge: string): unknown =>
      writeSync(file, `${JSON.stringify({ at: Number(process.hrtime.bigint() / 1000n), client, event, edge, ...what })}\n`);
    write('begin');
    try {
      await handle();
    } finally {
      write('end');
    }
  }
}

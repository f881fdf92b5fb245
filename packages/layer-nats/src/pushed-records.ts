import type { LastMessage, PushOptions } from '@busgate/layer/driver';
import type { JetStream } from './jetstream.ts';
import { readRecord } from './lease-messages.ts';
import type { Pushed } from './queues.ts';
import type { Session } from './session.ts';

/** How a message gets into a queue, full or not. */
export type PushAnyhow = (
  session: Session,
  queue: string,
  payload: Uint8Array,
  options: PushOptions & { readonly id: string },
) => Promise<Exclude<Pushed, 'full'>>;

/** Where a record is, and what its message is known by. */
interface RecordKey {
  readonly subject: string;
  readonly id: string;
}

/** Records of leases whose messages this process has pushed, until they are known to be removed. */
export class PushedRecords {
  readonly #jetStream: JetStream;
  readonly #stream: string;
  readonly #push: PushAnyhow;
  /** Ids by subjects. */
  readonly #ids = new Map<string, string>();

  constructor(jetStream: JetStream, stream: string, push: PushAnyhow) {
    this.#jetStream = jetStream;
    this.#stream = stream;
    this.#push = push;
  }

  /** Pushes the message in the place of a record, where this process has not. Resolves with whether its id had been pushed before. */
  async push(session: Session, { subject, id }: RecordKey, { queue, payload, expiryMs }: LastMessage): Promise<boolean> {
    const isSeen = this.#ids.get(subject) !== id && (await this.#push(session, queue, payload, { expiryMs, id })) === 'seen';
    this.#ids.set(subject, id);
    return isSeen;
  }

  /** Resolves with what removing them does; where that fails they are removed later. */
  async remove<T>(subjects: readonly string[], remove: () => Promise<T>): Promise<T> {
    const removed = await remove();
    for (const subject of subjects) this.#ids.delete(subject);
    return removed;
  }

  async removeAll(session: Session): Promise<void> {
    await Promise.all(
      [...this.#ids].map(async ([subject, id]) => {
        const record = await this.#jetStream.message(session, this.#stream, { last_by_subj: subject });
        if (record !== undefined && readRecord(record)?.id === id) {
          await this.remove([subject], () => this.#jetStream.deleteMessage(session, this.#stream, record.seq));
        } else this.#ids.delete(subject);
      }),
    );
  }
}

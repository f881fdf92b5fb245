import { Buffer } from 'node:buffer';
import type { TopicSink } from '@busgate/layer/driver';
import { describe, expect, test } from 'vitest';
import type { Receiver } from '../src/connection.ts';
import { forbidden } from '../src/errors.ts';
import type { Session } from '../src/session.ts';
import { Subjects } from '../src/subjects.ts';
import { Topics } from '../src/topics.ts';
import { keepingLog } from './support/log.ts';

/** One connection to a server that permits every subject but some. */
class Server {
  readonly #receivers = new Map<string, Receiver>();
  readonly #denied: readonly string[];

  constructor(...denied: readonly string[]) {
    this.#denied = denied;
  }

  get session(): Session {
    const session = {
      ended: undefined,
      connection: { facts: { clustered: false } },
      subscribe: (subject: string, receiver: Receiver) => {
        this.#receivers.set(subject, receiver);
        return { end: () => this.#receivers.delete(subject), drain: async () => undefined };
      },
      confirm: async () => {
        for (const subject of this.#denied) this.#receivers.get(subject)?.refused(forbidden('subscribe', subject));
      },
    };
    return session as unknown as Session;
  }

  publish(room: string, text: string): void {
    const subject = `busgate.room.${room}`;
    this.#receivers.get(subject)?.message({ subject, reply: '', payload: Buffer.from(text), status: 0, header: () => '' });
  }
}

/** What one room was told. */
class Told implements TopicSink {
  readonly all: string[] = [];

  message(payload: Uint8Array): void {
    this.all.push(Buffer.from(payload).toString());
  }

  gap(): void {
    this.all.push('GAP');
  }
}

interface Made {
  readonly topics: Topics;
  readonly faults: readonly string[];
  readonly lines: readonly string[];
  readonly add: (server: Server, room: string) => Promise<Told>;
}

function topics(): Made {
  const { logger, lines } = keepingLog();
  const faults: string[] = [];
  const made = new Topics(
    new Subjects('busgate'),
    { logger, traces: false },
    {
      fault: (kind) => faults.push(kind),
      undecodable: () => undefined,
      heard: (epoch) => epoch,
    },
  );
  const add = async (server: Server, room: string): Promise<Told> => {
    const told = new Told();
    await made.subscribe(server.session, { kind: 'room', name: room }, told, undefined);
    return told;
  };
  return { topics: made, faults, lines: lines.all, add };
}

describe('subscribing again', () => {
  test('the gap comes first, then what came before the connection counted', async () => {
    const { topics: made, add } = topics();
    const told = await add(new Server(), 'r');
    const server = new Server();
    const { session } = server;
    await made.renew(session);
    server.publish('r', 'before');
    expect(told.all).toEqual([]);
    made.release(session);
    server.publish('r', 'after');
    expect(told.all).toEqual(['GAP', 'before', 'after']);
  });

  test('of more messages than are kept meanwhile the newest follow the gap, with none missing after it', async () => {
    const { topics: made, add } = topics();
    const told = await add(new Server(), 'r');
    const server = new Server();
    const { session } = server;
    await made.renew(session);
    for (let n = 1; n <= 1500; n += 1) server.publish('r', `${n}`);
    made.release(session);
    server.publish('r', '1501');
    expect(told.all).toEqual(['GAP', ...Array.from({ length: 1001 }, (_, index) => `${index + 501}`)]);
  });

  test('what came through a connection that never counted stays before the gap', async () => {
    const { topics: made, add } = topics();
    const told = await add(new Server(), 'r');
    const failed = new Server();
    await made.renew(failed.session);
    failed.publish('r', 'long ago');
    const server = new Server();
    const { session } = server;
    await made.renew(session);
    server.publish('r', 'now');
    made.release(session);
    expect(told.all).toEqual(['GAP', 'now']);
  });

  test('what is not permitted any more is told a gap too, once', async () => {
    const { topics: made, faults, lines, add } = topics();
    const rooms = await Promise.all(Array.from({ length: 30 }, (_, index) => add(new Server(), `private.${index}`)));
    const open = await add(new Server(), 'open');
    const server = new Server(...rooms.map((_, index) => `busgate.room.private.${index}`));
    const { session } = server;
    await made.renew(session);
    made.release(session);
    server.publish('open', 'x');
    expect(open.all).toEqual(['GAP', 'x']);
    for (const told of rooms) expect(told.all).toEqual(['GAP']);
    expect(faults).toEqual(['refused']);
    expect(lines).toHaveLength(1);
  });
});

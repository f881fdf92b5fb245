import { Buffer } from 'node:buffer';
import type { TopicSink } from '@busgate/layer/driver';
import { connect as natsConnect } from 'nats';
import { expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';
import { connect } from '../src/connection.ts';
import { Session } from '../src/session.ts';
import { Subjects } from '../src/subjects.ts';
import { Topics } from '../src/topics.ts';
import { parseUrl } from '../src/url.ts';
import { keepingLog } from './support/log.ts';

const ignore = (): void => undefined;

/** What a room was told, one line each. */
class Told implements TopicSink {
  readonly all: string[] = [];

  message(payload: Uint8Array): void {
    this.all.push(Buffer.from(payload).toString());
  }

  gap(): void {
    this.all.push('GAP');
  }
}

/** The room `r`, subscribed over a connection that has just been lost. */
async function lost() {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await startNats());
  const target = parseUrl(nats.url);
  const sessions: Session[] = [];
  stack.defer(async () => void (await Promise.all(sessions.map((session) => session.close()))));
  const open = async (): Promise<Session> => {
    const session = new Session(await connect(target.servers[0]!, target, 'test', { publishRefused: ignore, complaint: ignore, peers: ignore }), ignore);
    sessions.push(session);
    return session;
  };
  const topics = new Topics(
    new Subjects('busgate'),
    { logger: keepingLog().logger, traces: false },
    { fault: ignore, undecodable: ignore, heard: (epoch) => epoch },
  );
  stack.defer(() => topics.close());
  const told = new Told();
  const before = await open();
  await topics.subscribe(before, { kind: 'room', name: 'r' }, told, undefined);
  await before.close();
  const publisher = await natsConnect({ servers: nats.url });
  stack.defer(() => publisher.close());
  /** Resolves once whoever has the session, too, has had all of them. */
  const publish = async (session: Session, texts: readonly string[]): Promise<void> => {
    for (const text of texts) publisher.publish('busgate.room.r', text);
    await publisher.flush();
    await session.confirm();
  };
  const held = stack.move();
  return { topics, told: told.all, open, publish, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

test('the gap comes first, then what came before the connection counted', async () => {
  await using at = await lost();
  const session = await at.open();
  await at.topics.renew(session);
  await at.publish(session, ['before']);
  expect(at.told).toEqual([]);
  at.topics.release(session);
  await at.publish(session, ['after']);
  expect(at.told).toEqual(['GAP', 'before', 'after']);
});

test('of more messages than are kept meanwhile the newest follow the gap, with none missing after it', async () => {
  await using at = await lost();
  const session = await at.open();
  await at.topics.renew(session);
  const texts = Array.from({ length: 1501 }, (_, index) => `${index}`);
  await at.publish(session, texts.slice(0, -1));
  at.topics.release(session);
  await at.publish(session, texts.slice(-1));
  expect(at.told).toEqual(['GAP', ...texts.slice(500)]);
});

test('what came through a connection that never counted stays before the gap', async () => {
  await using at = await lost();
  const failed = await at.open();
  await at.topics.renew(failed);
  await at.publish(failed, ['long ago']);
  await failed.close();
  const session = await at.open();
  await at.topics.renew(session);
  await at.publish(session, ['now']);
  at.topics.release(session);
  expect(at.told).toEqual(['GAP', 'now']);
});

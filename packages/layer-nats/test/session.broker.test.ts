import { Buffer } from 'node:buffer';
import { connect as natsConnect } from 'nats';
import { expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';
import { connect, type Arrival } from '../src/connection.ts';
import { Session } from '../src/session.ts';
import { parseUrl } from '../src/url.ts';

const ignore = (): void => undefined;

async function open(url: string): Promise<Session> {
  const target = parseUrl(url);
  return new Session(await connect(target.servers[0]!, target, 'test', { publishRefused: ignore, complaint: ignore, peers: ignore }), ignore);
}

const text = ({ payload }: Arrival): string => Buffer.from(payload).toString();

test('an answer that is not final waits for a better one, and counts where none comes', async () => {
  await using nats = await startNats();
  const session = await open(nats.url);
  const [first, second] = await Promise.all([natsConnect({ servers: nats.url }), natsConnect({ servers: nats.url })]);
  first.subscribe('both', {
    callback: (_, message) => {
      message.respond('no leader');
      void first.flush().then(() => second.publish(message.reply ?? '', 'here it is'));
    },
  });
  first.subscribe('one', { callback: (_, message) => message.respond('no leader') });
  await first.flush();
  const isFinal = (answer: Arrival): boolean => text(answer) !== 'no leader';
  const ask = async (subject: string): Promise<string> => text(await session.request(subject, new Uint8Array(0), undefined, { isFinal }));
  expect(await ask('both')).toBe('here it is');
  expect(await ask('one')).toBe('no leader');
  expect(text(await session.request('both', new Uint8Array(0)))).toBe('no leader');
  await session.close();
  await Promise.all([first.close(), second.close()]);
});

test('a connection that ends while it is proved rejects that, and nothing that nobody waits for', async () => {
  await using nats = await startNats();
  const session = await open(nats.url);
  const rejected: unknown[] = [];
  const hear = (reason: unknown): void => void rejected.push(reason);
  process.on('unhandledRejection', hear);
  nats.pause();
  const proving = expect(session.prove()).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  await new Promise(setImmediate);
  session.end('cut');
  await proving;
  await new Promise(setImmediate);
  process.off('unhandledRejection', hear);
  expect(rejected).toEqual([]);
  nats.resume();
});

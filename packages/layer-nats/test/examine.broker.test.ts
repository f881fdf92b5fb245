import { openLayer } from '@busgate/layer';
import { expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';
import { connect } from 'nats';

const HISTORY = { history: [{ rooms: 'kept.>', size: 100, ageMs: 60_000 }] };

test('a server whose messages are smaller than ours is to be changed; JetStream only where it is needed', async () => {
  await using nats = await startNats({ config: ['max_payload: 65536'] });
  await using layer = await openLayer(nats.url);
  const [payload] = await layer.examine();
  expect(payload).toMatchObject({ state: 'fix', advice: expect.stringContaining('max_payload: 1048576') as string });
});

test('limits of streams, the account and the clock are looked at', async () => {
  await using nats = await startNats();
  await using layer = await openLayer(nats.url, HISTORY);
  await layer.publish('kept.a', 'x');
  const findings = await layer.examine();
  expect(findings.map(({ state }) => state)).toEqual(findings.map(() => 'ok'));
  const told = findings.map(({ what }) => what).join('\n');
  for (const part of ['max_payload is 1048576', 'JetStream: ', 'the stream BUSGATE_', "the clock differs from NATS's by"]) expect(told).toContain(part);
});

test('a stream that is nearly full is to be made larger', async () => {
  await using nats = await startNats();
  await using layer = await openLayer(nats.url, HISTORY);
  await layer.publish('kept.a', 'x'.repeat(100_000));
  const other = await connect({ servers: nats.url });
  const streams = await other.jetstreamManager();
  const name = await streams.streams.find('busgate.room.kept.a');
  await streams.streams.update(name, { max_bytes: 110_000 });
  const findings = await layer.examine();
  expect(findings.filter(({ state }) => state === 'fix')).toMatchObject([
    { what: expect.stringContaining(name) as string, advice: `nats stream edit ${name} --max-bytes=220000` },
  ]);
  await other.close();
});

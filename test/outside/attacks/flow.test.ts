import { afterAll, beforeAll, expect, test } from 'vitest';
import { closeFrame, frame, RawClient } from '../../../packages/gateway/test/support/raw.ts';
import { metricsOf, sumOf } from '../../support/metrics.ts';
import { openRaw, Stage } from '../../attacks/stage.ts';

const KIB = 1024;
const MIB = KIB * KIB;

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.start(['--limits-outbox', '256KiB', '--limits-outbox-total', '16MiB', '--limits-message', '64KiB']);
});

afterAll(async () => {
  await stage[Symbol.asyncDispose]();
});

/** Text frames that have come. */
const texts = ({ frames }: RawClient): number => frames.filter(({ opcode }) => opcode === 1).length;

test('attack 50: one that never reads is closed with 1013, and the others of its room have every message at once', async () => {
  await stage.withstands(async () => {
    await using deaf = await openRaw(stage.gateway.port, '/room/busy');
    deaf.socket.pause();
    await using reader = await openRaw(stage.gateway.port, '/room/busy');
    const message = frame(1, 'x'.repeat(60 * KIB));
    let worst = 0;
    let sent = 0;
    const slow = async (): Promise<number> => sumOf(await metricsOf(stage.gateway), 'busgate_closes_total{code="1013"}');
    for (const before = await slow(); (await slow()) === before;) {
      for (let burst = 0; burst < 20; burst += 1) {
        const began = performance.now();
        reader.write(message);
        sent += 1;
        await reader.until(() => texts(reader) === sent);
        worst = Math.max(worst, performance.now() - began);
      }
    }
    expect(worst).toBeLessThan(1000);
    reader.write(closeFrame(1000));
    await reader.closed();
  });
});

test('attack 52: a message of 64 KB to hundreds of members is kept once, however many have not read it', async () => {
  const [members, messages, size] = [300, 100, 60 * KIB];
  // Room for each message once and not for one of each member, of whom nobody is to be closed.
  await using roomy = await Stage.start(['--limits-outbox', '16MiB', '--limits-outbox-total', '32MiB']);
  await roomy.withstands(async () => {
    const clients = await Promise.all(Array.from({ length: members }, () => openRaw(roomy.gateway.port, '/room/large')));
    const before = await roomy.inspector.held();
    // More than the kernel takes off the gateway's hands for a peer that does not read.
    for (const { socket } of clients) socket.pause();
    await using speaker = await RawClient.connect(roomy.gateway.port);
    for (let sent = 0; sent < messages; sent += 1) {
      speaker.write(`POST /room/large HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`);
      expect((await speaker.answer()).status).toBe(202);
    }
    const page = await metricsOf(roomy.gateway);
    expect(sumOf(page, 'busgate_sessions')).toBeGreaterThanOrEqual(members);
    expect(sumOf(page, 'busgate_deliveries_queued')).toBeGreaterThan(members);
    expect((await roomy.inspector.held()) - before).toBeLessThan(64 * MIB);
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  });
});

test('attack 53: 20,000 messages that come at once hold up nobody', async () => {
  const burst = Buffer.concat(Array.from({ length: 20_000 }, () => frame(1, 'x')));
  await stage.withstands(async () => {
    await using client = await openRaw(stage.gateway.port, '/room/burst');
    const came = Promise.withResolvers<void>();
    let bytes = 0;
    client.socket.removeAllListeners('data').on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      // Each back with a head of two bytes.
      if (bytes >= 20_000 * 3) came.resolve();
    });
    client.write(burst);
    await came.promise;
    expect(bytes).toBe(20_000 * 3);
  });
});

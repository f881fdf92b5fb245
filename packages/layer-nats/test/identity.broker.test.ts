import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLayer } from '@busgate/layer';
import { nkeys } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';
import { makeCertificates, makeOperator } from './support/identities.ts';
import { keepingLog } from './support/log.ts';
import { listen } from './support/rooms.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'busgate-identity-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Live rooms, queues and history all work through this URL. */
async function expectWorks(url: string): Promise<void> {
  await using layer = await openLayer(url, { history: [{ rooms: 'kept', size: 10, ageMs: 10_000 }] });
  const events = await listen(layer, 'r');
  await layer.publish('r', 'x');
  expect(await events.next()).toBe('x');
  await layer.send('work', { n: 1 });
  expect(await layer.receive('work')).toEqual({ n: 1 });
  expect((await layer.publish('kept', 'x')).position).toMatch(/:\d+$/);
}

async function expectRefused(url: string): Promise<void> {
  await expect(openLayer(url)).rejects.toMatchObject({ code: 'REFUSED' });
}

describe('who this is', () => {
  test('user and password, with characters that a URL escapes', async () => {
    await using nats = await startNats({ config: ['authorization { user: "u@x", password: "p:/?#" }'] });
    await expectWorks(nats.url.replace('nats://', 'nats://u%40x:p%3A%2F%3F%23@'));
    await expectRefused(nats.url.replace('nats://', 'nats://u%40x:p@'));
  });

  test('a token', async () => {
    await using nats = await startNats({ config: ['authorization { token: "t0ken" }'] });
    await expectWorks(nats.url.replace('nats://', 'nats://t0ken@'));
    await expectRefused(nats.url.replace('nats://', 'nats://token@'));
  });

  test('an NKey seed in a file', async () => {
    const [known, unknown] = [nkeys.createUser(), nkeys.createUser()];
    await using nats = await startNats({ config: [`authorization { users: [{ nkey: ${known.getPublicKey()} }] }`] });
    for (const [name, keys] of Object.entries({ known, unknown })) await writeFile(join(folder, `${name}.nk`), `${Buffer.from(keys.getSeed()).toString()}\n`);
    await expectWorks(`${nats.url}?nkey=${join(folder, 'known.nk')}`);
    await expectRefused(`${nats.url}?nkey=${join(folder, 'unknown.nk')}`);
  });

  test('a credentials file, as nsc writes it', async () => {
    const [ours, theirs] = [makeOperator(), makeOperator()];
    await using nats = await startNats({ config: ours.config });
    await writeFile(join(folder, 'ours.creds'), ours.creds);
    await writeFile(join(folder, 'theirs.creds'), theirs.creds);
    await expectWorks(`${nats.url}?creds=${join(folder, 'ours.creds')}`);
    await expectRefused(`${nats.url}?creds=${join(folder, 'theirs.creds')}`);
  });

  test('a file that is not there, or holds something else, is named', async () => {
    await using nats = await startNats();
    await writeFile(join(folder, 'nonsense'), 'nonsense');
    for (const parameter of ['nkey', 'creds']) {
      for (const name of ['missing', 'nonsense']) {
        const url = `${nats.url}?${parameter}=${join(folder, name)}`;
        await expect(openLayer(url)).rejects.toMatchObject({ code: 'REFUSED', message: expect.stringContaining(join(folder, name)) as string });
      }
    }
  });
});

describe('TLS', () => {
  test('an authority of its own, by name and by address; a client certificate where the server asks for one', async () => {
    const files = await makeCertificates(folder);
    const tls = (verify: boolean): string => `tls { cert_file: "${files.cert}", key_file: "${files.key}", ca_file: "${files.ca}", verify: ${verify} }`;
    await using nats = await startNats({ config: [tls(false)] });
    const byName = nats.url.replace('127.0.0.1', 'localhost');
    await expectWorks(`${nats.url.replace('nats:', 'tls:')}?ca=${files.ca}`);
    await expectWorks(`${byName.replace('nats:', 'tls:')}?ca=${files.ca}`);
    await expectWorks(`${nats.url}?ca=${files.ca}&servername=localhost`);
    await using verifying = await startNats({ config: [tls(true)] });
    await expectWorks(`${verifying.url}?ca=${files.ca}&cert=${files.clientCert}&key=${files.clientKey}`);
  });

  test('a certificate of an unknown authority, or for another name: away, with the reason, and nothing is sent', async () => {
    const files = await makeCertificates(folder);
    await using nats = await startNats({ config: [`tls { cert_file: "${files.cert}", key_file: "${files.key}" }`] });
    for (const [url, reason] of [
      [nats.url, /self.signed|unable to verify|unable to get/],
      [`${nats.url}?ca=${files.ca}&servername=other.example`, /other\.example/],
    ] as const) {
      const { lines, logger } = keepingLog();
      await using layer = await openLayer(url, { logger });
      expect(layer.status.state).toBe('away');
      await lines.find((line) => reason.test(line));
      await expect(layer.publish('r', 'x')).rejects.toMatchObject({ code: 'LAYER_AWAY' });
    }
  });

  test('TLS demanded of a server that has none: away', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url.replace('nats:', 'tls:'));
    expect(layer.status.state).toBe('away');
  });
});

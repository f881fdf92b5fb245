import { setTimeout as delay } from 'node:timers/promises';
import { openLayer } from '@busgate/layer';
import { connect } from 'nats';
import { describe, expect, test } from 'vitest';
import { startNats } from '../../../test/support/brokers.ts';
import { Child } from '../../../test/support/child.ts';
import { RemoteLayer } from '../../../test/support/remote.ts';

const GROUP_EXPIRY_MS = 500;

describe('members of a process that was killed', () => {
  test('its channels are gone from their groups at once, and everybody is told so; a worker queue stays a member', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url);
    await using remote = await RemoteLayer.start((...program) => new Child(...program), nats.url);
    const channels = [await remote.call('join', 'g'), await remote.call('join', 'g')].map(({ value }) => value as string);
    expect((await remote.call('groupAdd', 'g', 'work')).outcome).toBe('ok');
    const other = await connect({ servers: nats.url });
    const listensToGroup = (): Promise<boolean> => other.request('busgate.group.g', '{}', { timeout: 100 }).then(() => true, (error: { code: string }) => error.code !== '503'); // prettier-ignore
    expect(await listensToGroup()).toBe(true);
    await remote.kill();
    await expect.poll(listensToGroup).toBe(false);
    for (const channel of channels) {
      await expect(layer.send(channel, { n: 0 })).rejects.toMatchObject({ code: 'CHANNEL_GONE' });
      await expect(layer.groupAdd('g', channel)).rejects.toMatchObject({ code: 'CHANNEL_GONE' });
      await layer.groupDiscard('g', channel);
    }
    // Who reads the queue elsewhere still has what is sent to the group.
    await layer.groupSend('g', { n: 1 });
    expect(await layer.receive('work')).toEqual({ n: 1 });
    await other.close();
  });

  test('a worker queue that it added is a member until its membership ends', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url, { groupExpiryMs: GROUP_EXPIRY_MS });
    await using remote = await RemoteLayer.start((...program) => new Child(...program), nats.url, { groupExpiryMs: GROUP_EXPIRY_MS });
    expect((await remote.call('groupAdd', 'g', 'work')).outcome).toBe('ok');
    await remote.kill();
    await delay(GROUP_EXPIRY_MS + 50);
    await layer.groupSend('g', { n: 1 });
    await layer.send('work', { n: 2 });
    expect(await layer.receive('work')).toEqual({ n: 2 });
  });

  test('what waits in a worker queue that only it read is for the next one that reads it', async () => {
    await using nats = await startNats();
    await using layer = await openLayer(nats.url);
    await using remote = await RemoteLayer.start((...program) => new Child(...program), nats.url);
    expect((await remote.call('groupAdd', 'g', 'work')).outcome).toBe('ok');
    await remote.kill();
    for (const n of [1, 2, 3]) expect(await layer.groupSend('g', { n })).toEqual({ dropped: 0 });
    for (const n of [1, 2, 3]) expect(await layer.receive('work')).toEqual({ n });
  });
});

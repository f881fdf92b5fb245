import { openLayer } from '@busgate/layer';
import { expect, test } from 'vitest';
import { Bans } from '../src/auth/bans.ts';
import { type Client, Revocations } from '../src/auth/revocations.ts';
import { ANYONE } from '../src/identity.ts';
import { SILENT } from './support/gateway.ts';

test('a ban whose time is over before it is kept ends the sessions that there are, and keeps nobody out', async () => {
  const layer = await openLayer('memory:');
  const clock = { now: Date.now() };
  const ended: string[] = [];
  const clientOf = (name: string): Client => ({
    identity: { ...ANYONE, user: name, token: `of ${name}`, issuedAt: clock.now },
    close: () => ended.push(name),
  });
  const clients = ['ann', 'bob', 'eve', 'tom'].map(clientOf);
  // The process stands still while the broker keeps it.
  const records = { all: layer.records.all.bind(layer.records), keep: async () => void (clock.now += 1000) };
  const bans = new Bans(() => clock.now);
  const revocations = new Revocations({
    layer: {
      records: Object.assign(Object.create(layer.records) as typeof layer.records, records),
      subscribe: layer.subscribe.bind(layer),
      publish: layer.publish.bind(layer),
      status: layer.status,
    },
    bans,
    clients: { all: () => clients, find: (id) => (id === 'session of tom' ? clients[3] : undefined) },
    log: SILENT,
    now: () => clock.now,
  });
  const until = (): Date => new Date(clock.now + 100);
  await revocations.revoke({ user: 'ann', until: until() });
  await revocations.revoke({ token: 'of eve', until: until() });
  await revocations.revoke({ session: 'session of tom', until: until() });
  expect(ended).toEqual(['ann', 'eve', 'tom']);
  expect(clients.map(({ identity }) => bans.has(identity))).toEqual([false, false, false, false]);
  await revocations.close();
  await layer.close();
});

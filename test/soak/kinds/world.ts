import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '../../../packages/gateway/test/support/client.ts';
import { KEY } from '../../../packages/gateway/test/support/operator.ts';
import type { HttpAnswer } from '../../../packages/gateway/test/support/raw.ts';
import { StreamClient } from '../../../packages/gateway/test/support/stream.ts';
import { tokenFor } from '../../../packages/gateway/test/support/tokens.ts';
import type { Kind } from '../kind.ts';
import { expectStatus } from '../ways.ts';

const BANNED_MS = 100;
const READS = ['/api/rooms', '/api/sessions', '/api/fleet', '/api/guarantees', '/api/rooms/kept.read', '/api/rooms/kept.read/history'];

/** What workers, operators and brokers do. */
export const WORLD: readonly Kind[] = [
  {
    name: 'a session that a worker has',
    round: async ({ gateway }) => {
      await using client = await Client.open(gateway.ws('/work/a'));
      client.send('hello');
      await client.until(() => client.received.length === 1);
    },
  },
  {
    name: 'a user who is revoked, and comes back when that is over',
    every: 10,
    round: async (stage) => {
      const token = tokenFor({ sub: 'revoked' });
      await using client = await Client.open(stage.gateway.ws('/socket'), ['busgate.v1', `busgate.token.${token}`]);
      const revoke = (): Promise<HttpAnswer> =>
        stage.operate('POST /api/revoke', JSON.stringify({ user: 'revoked', until: new Date(Date.now() + BANNED_MS).toISOString() }));
      // On a busy machine the time may be over before it is read.
      while ((await revoke()).status === 400);
      await client.closed();
      do await delay(BANNED_MS);
      while ((await stage.ask('POST /room/revoked', [`Authorization: Bearer ${token}`], 'back')).status === 401);
    },
  },
  {
    name: 'an operator who looks, publishes and taps',
    every: 2,
    round: async (stage) => {
      for (const path of READS) expectStatus(200, await stage.operate(`GET ${path}`));
      await using tap = await StreamClient.open(stage.gateway.opsPort, '/api/tap/tapped', [`Authorization: Bearer ${KEY}`]);
      await tap.until(() => tap.blocks.length > 0);
      expectStatus(200, await stage.operate('POST /api/publish', JSON.stringify({ room: 'tapped', data: 1 })));
      await tap.until(() => tap.events.some((event) => event.startsWith('event: message')));
    },
  },
  {
    name: 'a broker that ends its connections',
    layers: ['redis', 'nats'],
    every: 20,
    round: async (stage) => {
      await using client = await Client.multiplex(stage.gateway.ws('/socket'));
      await client.ask({ type: 'join', room: 'cut', ref: 1 });
      await stage.broker?.cut();
      await client.until(() => client.frames.some(({ type }) => type === 'gap'));
      // A room may hear of its gap before all else is there again; until then nobody new is let in.
      while (!(await stage.operate('GET /api/fleet')).body.includes('"state":"connected"'));
    },
  },
];

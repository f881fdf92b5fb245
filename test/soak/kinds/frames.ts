import { Client } from '../../../packages/gateway/test/support/client.ts';
import { RawClient } from '../../../packages/gateway/test/support/raw.ts';
import { tokenFor } from '../../../packages/gateway/test/support/tokens.ts';
import type { Kind } from '../kind.ts';

export const FRAMES: readonly Kind[] = [
  {
    name: 'frames that are no frames, joins that are none, publishes over the rate',
    round: async ({ gateway }) => {
      await using client = await Client.multiplex(gateway.ws('/socket'));
      for (const frame of ['{', '[]', 'null', '{"type":"nothing"}', '{"type":"join","room":".."}', '{"type":"join","room":"kept.bad","since":"x"}'])
        client.send(frame);
      for (let count = 0; count < 30; count += 1) client.send({ type: 'publish', room: 'rated', data: count });
      await client.ask({ type: 'leave', room: 'never', ref: 1 });
      if (!client.frames.some(({ code }) => code === 'rate')) throw new Error('no publish was refused');
    },
  },
  {
    name: 'a session whose token is renewed',
    round: async ({ gateway }, n) => {
      const sub = `user-${n}`;
      await using client = await Client.open(gateway.ws('/socket'), ['busgate.v1', `busgate.token.${tokenFor({ sub })}`]);
      await client.until(() => client.received.length > 0);
      client.send({ type: 'token', token: tokenFor({ sub }) });
      await client.until(() => client.frames.some(({ type }) => type === 'token'));
    },
  },
  {
    name: 'a reader that does not read',
    every: 10,
    round: async (stage) => {
      await using client = await RawClient.upgraded(stage.port, '/room/slow');
      client.socket.pause();
      for (let count = 0; count < 100; count += 1) await stage.ask('POST /room/slow', [], 'x'.repeat(60_000));
    },
  },
];

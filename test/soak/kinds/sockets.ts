import { Client } from '../../../packages/gateway/test/support/client.ts';
import { closeFrame, frame, RawClient } from '../../../packages/gateway/test/support/raw.ts';
import type { Kind } from '../kind.ts';

export const SOCKETS: readonly Kind[] = [
  {
    name: 'a socket that speaks and goes',
    round: async ({ port }) => {
      await using client = await RawClient.upgraded(port, '/room/raw');
      client.write(frame(1, 'hello'));
      await client.until((frames) => frames.length === 1);
      client.write(closeFrame(1000));
      await client.closed();
    },
  },
  {
    name: 'a room that is joined and left',
    round: async ({ gateway }) => {
      await using client = await Client.multiplex(gateway.ws('/socket'));
      await client.ask({ type: 'join', room: 'r', ref: 1 });
      await client.ask({ type: 'publish', room: 'r', data: 1, ref: 2 });
      await client.ask({ type: 'leave', room: 'r', ref: 3 });
    },
  },
  {
    name: 'joins of rooms that nobody has heard of',
    round: async ({ gateway }, n) => {
      await using client = await Client.multiplex(gateway.ws('/socket'));
      for (let ref = 1; ref <= 2; ref += 1) await client.ask({ type: 'join', room: `unknown.${n}.${ref}`, ref });
    },
  },
  {
    name: 'frames that break the protocol',
    round: async ({ port }, n) => {
      await using client = await RawClient.upgraded(port, n % 2 === 0 ? '/room/raw' : '/socket');
      client.write(Buffer.concat([frame(1, 'x'.repeat(1000), { fin: false }), frame(3, 'x')]));
      await client.closeCode();
    },
  },
];

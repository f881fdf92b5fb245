import { RawClient, request } from '../../../packages/gateway/test/support/raw.ts';
import { StreamClient } from '../../../packages/gateway/test/support/stream.ts';
import type { Kind } from '../kind.ts';

export const STREAMS: readonly Kind[] = [
  {
    name: 'event streams that come and go',
    round: async ({ port }) => {
      await using stream = await StreamClient.open(port, '/socket?rooms=streamed&rooms=kept.streamed&last=1');
      await stream.until(() => stream.lastId !== undefined);
    },
  },
  {
    name: 'streams of lines that come and go, every other one before it has begun',
    round: async ({ port }, n) => {
      await using client = await RawClient.connect(port);
      client.write(request('GET /room/lines HTTP/1.1', 'Host: a', 'Accept: application/x-ndjson'));
      if (n % 2 === 0) await client.head();
    },
  },
];

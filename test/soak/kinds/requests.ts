import { RawClient, request, upgrade } from '../../../packages/gateway/test/support/raw.ts';
import { tokenFor } from '../../../packages/gateway/test/support/tokens.ts';
import type { Kind } from '../kind.ts';
import { expectStatus, isWaiting, standing } from '../ways.ts';

/** A process keeps the ids of publishes for five minutes where it is the broker itself: there they are the same ones again. */
const IDS_ON_MEMORY = 20;

export const REQUESTS: readonly Kind[] = [
  {
    name: 'history that is read',
    round: async (stage, n) => {
      const since = await standing(stage, 'kept.read');
      await stage.ask('POST /room/kept.read', [], `message ${n}`);
      expectStatus(200, await stage.ask(`GET /room/kept.read?since=${since}`));
      expectStatus(200, await stage.ask('GET /room/kept.read?last=20'));
    },
  },
  {
    name: 'polls whose client goes',
    round: async (stage, n) => {
      const since = await standing(stage, 'kept.polled');
      await using client = await RawClient.connect(stage.port);
      client.write(request(`GET /room/kept.polled?poll=60&since=${since} HTTP/1.1`, 'Host: a'));
      if (n % 10 === 0) await isWaiting(stage);
      // Every other one ends its side alone, most while the history is still read.
      if (n % 2 === 0) client.socket.resetAndDestroy();
      else client.socket.end();
      await client.closed();
    },
  },
  {
    name: 'polls that are answered',
    every: 10,
    round: async (stage) => {
      const since = await standing(stage, 'kept.answered');
      const asked = stage.ask(`GET /room/kept.answered?poll=60&since=${since}`);
      await isWaiting(stage);
      await stage.ask('POST /room/kept.answered', [], 'it');
      expectStatus(200, await asked);
    },
  },
  {
    name: 'publishes with ids, each of them twice',
    round: async (stage, n) => {
      const id = `id-${stage.layer === 'memory' ? n % IDS_ON_MEMORY : n}`;
      for (let time = 0; time < 2; time += 1) expectStatus(202, await stage.ask('POST /room/kept.once', [`Idempotency-Key: ${id}`], 'once'));
    },
  },
  {
    name: 'tokens that are refused',
    every: 10,
    round: async (stage, n) => {
      const tokens = ['garbage', `${tokenFor()}x`, tokenFor({ exp: 1 }), tokenFor({ sub: n })];
      // So many a second are looked at, and of more none, good ones neither.
      expectStatus(
        [401, 429],
        await stage.ask('GET /room/refused', ['Accept: text/event-stream', `Authorization: Bearer ${tokens[Math.floor(n / 10) % tokens.length]}`]),
      );
    },
  },
  {
    name: 'origins and paths that are refused',
    round: async (stage) => {
      for (const [head, status] of [
        [upgrade('/socket', { Origin: 'https://evil.test' }), 403],
        [upgrade('/room/..'), 400],
        [upgrade('/nowhere'), 404],
      ] as const) {
        await using client = await RawClient.connect(stage.port);
        client.write(head);
        expectStatus(status, await client.answer());
      }
    },
  },
  {
    name: 'uploads that are given up',
    round: async ({ port }, n) => {
      await using client = await RawClient.connect(port);
      client.write(request('POST /room/uploaded HTTP/1.1', 'Host: a', 'Content-Length: 60000'), 'x'.repeat(30_000));
      if (n % 2 === 0) client.socket.end();
      else client.socket.resetAndDestroy();
      await client.closed();
    },
  },
];

import { afterAll, beforeAll, expect, test } from 'vitest';
import { RawClient, request, upgrade } from '../../../packages/gateway/test/support/raw.ts';
import { Stage } from '../../attacks/stage.ts';

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.start(['--origins', '["https://good.example", "https://*.wide.example"]']);
});

afterAll(async () => {
  await stage[Symbol.asyncDispose]();
});

test.each([
  'https://evil.example',
  'null',
  'https://good.example.evil.test',
  'https://evilgood.example',
  'https://good.example:8443',
  'http://good.example',
  'https://GOOD.example',
  'https://good.example/',
  'https://good.example, https://evil.example',
  'https://wide.example',
  'https://a.wide.example.evil.test',
  'https://evilwide.example',
  'https://a.wide.example:8443',
  'https://evil.test/.wide.example',
])('attack 77: a page of %s gets in nowhere, whatever it asks with', async (origin) => {
  await stage.withstands(async () => {
    const headers = { Host: 'localhost', Origin: origin, Cookie: 'session=secret' };
    const lines = Object.entries(headers).map((pair) => pair.join(': '));
    const asked = [
      upgrade('/room/1', headers),
      upgrade('/socket', headers),
      request('GET /room/1 HTTP/1.1', ...lines, 'Accept: text/event-stream'),
      request('POST /room/1 HTTP/1.1', ...lines, 'Content-Length: 0'),
      request('OPTIONS /room/1 HTTP/1.1', ...lines, 'Access-Control-Request-Method: POST'),
    ];
    for (const sent of asked) {
      await using client = await RawClient.connect(stage.gateway.port);
      client.write(sent);
      const { status, headers: answered } = await client.answer();
      expect([status, answered.has('access-control-allow-origin')]).toEqual([403, false]);
    }
  });
});

test.each(['https://good.example', 'https://a.wide.example', 'https://a.b.wide.example'])(
  'attack 77: a page of %s gets in, and so does what is no page',
  async (origin) => {
    await stage.withstands(async () => {
      for (const changes of [{ Origin: origin }, {}]) {
        await using client = await RawClient.connect(stage.gateway.port);
        client.write(upgrade('/room/1', { Host: 'localhost', ...changes }));
        expect((await client.answer()).status).toBe(101);
      }
    });
  },
);

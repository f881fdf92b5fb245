import { expect, test } from 'vitest';
import { Client } from '../support/client.ts';
import { TestGateway } from '../support/gateway.ts';
import { KEY, Operator } from '../support/operator.ts';

test('a session can be ended by its id where nobody is known, at whatever gateway; there is no user and no token there', async () => {
  const flags = ['--ops-key', KEY, '--heartbeat-interval', '5s'];
  await using asked = await TestGateway.start(flags);
  await using other = await TestGateway.start(flags, [], asked.bus);
  const operator = new Operator(`http://127.0.0.1:${asked.gateway.ops.port}`);
  while ((await operator.get('/api/fleet')).body.gateways.length < 2);
  await using client = await Client.multiplex(other.ws('/socket'));
  const session = client.frames[0]?.['session'];
  expect(await operator.ask('POST', '/api/revoke', { session })).toMatchObject({ status: 200, body: { session } });
  expect(await client.closed()).toBe(4401);
  expect(await operator.ask('POST', '/api/revoke', { session })).toMatchObject({ status: 404, body: { error: 'no_session' } });
  for (const [call, body] of [
    ['revoke', { user: 'eve' }],
    ['revoke', { token: 'one' }],
    ['disconnect', { user: 'eve' }],
  ] as const)
    expect(await operator.ask('POST', `/api/${call}`, body)).toMatchObject({ status: 400, body: { error: 'no_auth' } });
});

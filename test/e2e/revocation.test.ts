import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KEY, Operator } from '../../packages/gateway/test/support/operator.ts';
import { JWT, tokenFor } from '../../packages/gateway/test/support/tokens.ts';
import { type Broker, startNats, startRedis } from '../support/brokers.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { Client } from './clients.ts';

const BROKERS: Readonly<Record<string, () => Promise<Broker>>> = { redis: startRedis, nats: startNats };
/** Within this a ban holds in the whole fleet, in milliseconds: twice what is promised. */
const EVERYWHERE_MS = 2000;

describe.each(Object.entries(BROKERS))('who is revoked, on %s', (_name, startBroker) => {
  let broker: Broker;
  let here: GatewayProcess;
  let there: GatewayProcess;
  beforeAll(async () => {
    broker = await startBroker();
    [here, there] = await Promise.all([start(), start()]);
  });
  afterAll(async () => {
    await Promise.all([here, there].map((gateway) => gateway?.[Symbol.asyncDispose]()));
    await broker?.[Symbol.asyncDispose]();
  });

  const start = (): Promise<GatewayProcess> => startGateway({ args: ['--demo', '--layer', broker.url, '--auth-jwt', JWT, '--ops-key', KEY] });
  const revoke = async (body: object): Promise<void> => expect((await new Operator(here.ops('')).ask('POST', '/api/revoke', body)).status).toBe(200);

  test('is ended at every gateway with 4401, and let in at none, also at one that starts later (attack 82)', async () => {
    const sessions = await Promise.all([here, there].map((gateway) => sessionOf(gateway, 'eve')));
    await using witness = await sessionOf(there, 'ann');
    await revoke({ user: 'eve' });
    const closes = await Promise.all(sessions.map((client) => client.closed));
    expect(closes.map(({ code }) => code)).toEqual([4401, 4401]);
    await using later = await start();
    expect(await Promise.all([here, there, later].map((gateway) => publishing(gateway, 'eve')))).toEqual([401, 401, 401]);
    expect(await publishing(there, 'ann')).toBe(202);
    expect(witness.socket.readyState).toBe(witness.socket.OPEN);
  });

  test('stays so when the broker has lost everything', async () => {
    await revoke({ token: 'lost' });
    await expect.poll(() => publishing(there, 'bob', 'lost'), { timeout: EVERYWHERE_MS }).toBe(401);
    await broker.kill();
    await expect.poll(() => publishing(there, 'ann')).toBe(503);
    await broker.start({ empty: true });
    await expect.poll(() => publishing(there, 'ann')).toBe(202);
    expect(await publishing(there, 'bob', 'lost')).toBe(401);
    // Those who know of it keep it again, for whoever does not.
    await expect
      .poll(async () => {
        await using later = await start();
        return await publishing(later, 'bob', 'lost');
      })
      .toBe(401);
  });
});

test('on NATS without JetStream nobody can be revoked, which is told at the start and to who tries; the others are served, and a user can be disconnected', async () => {
  await using broker = await startNats({ args: ['-js=false'] });
  await using gateway = await startGateway({ args: ['--demo', '--layer', broker.url, '--auth-jwt', JWT, '--ops-key', KEY] });
  await gateway.lines.find((line) => line.includes('nobody can be revoked'), 'the warning');
  const operator = new Operator(gateway.ops(''));
  await using client = await sessionOf(gateway, 'eve');
  const { status, body } = await operator.ask('POST', '/api/revoke', { user: 'eve' });
  expect([status, body.error]).toEqual([400, 'no_records']);
  expect(await publishing(gateway, 'eve')).toBe(202);
  expect((await operator.ask('POST', '/api/disconnect', { user: 'eve', code: 4000 })).status).toBe(200);
  expect((await client.closed).code).toBe(4000);
});

function sessionOf(gateway: GatewayProcess, sub: string): Promise<Client> {
  return Client.open(gateway.ws('/socket'), ['busgate.v1', `busgate.token.${tokenFor({ sub })}`]);
}

async function publishing(gateway: GatewayProcess, sub: string, jti = sub): Promise<number> {
  const headers = { Authorization: `Bearer ${tokenFor({ sub, jti })}` };
  return (await fetch(gateway.http('/room/revoked'), { method: 'POST', body: 'x', headers })).status;
}

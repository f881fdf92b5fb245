import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { StreamClient } from './support/stream.ts';

let here: TestGateway;
let there: TestGateway;

beforeEach(async () => {
  here = await TestGateway.start();
  there = await TestGateway.start([], [], here.bus);
});

afterEach(async () => {
  await here[Symbol.asyncDispose]();
  await there[Symbol.asyncDispose]();
});

async function up(at: TestGateway, session: string, body: string | object, path = '/socket'): Promise<Response> {
  return await fetch(at.http(`${path}?session=${session}`), { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) });
}

async function streamAt(at: TestGateway): Promise<{ stream: StreamClient; session: string }> {
  const stream = await StreamClient.open(at.port, '/socket');
  await stream.until(() => stream.frames.length > 0);
  return { stream, session: String(stream.frames[0]?.['session']) };
}

describe('frames by POST', () => {
  test('reach their session whichever gateway they come to, in the order of the requests', async () => {
    const { stream, session } = await streamAt(there);
    expect((await up(here, session, [{ type: 'join', room: 'r', ref: 0 }])).status).toBe(202);
    for (let ref = 1; ref <= 20; ref += 1) {
      const answer = await up(ref % 2 === 0 ? here : there, session, { type: 'publish', room: 'r', data: ref, ref });
      expect([answer.status, await answer.json()]).toEqual([202, {}]);
    }
    await stream.until(() => stream.frames.filter(({ type }) => type === 'message').length === 20);
    expect(stream.frames.flatMap(({ type, data }) => (type === 'message' ? [data] : []))).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
    // What is wrong with one of them is answered on the stream.
    expect((await up(here, session, '[{"type":"what","ref":"é\\n"}]')).status).toBe(202);
    await stream.until(() => stream.frames.some(({ type }) => type === 'error'));
    expect(stream.frames.at(-1)).toMatchObject({ code: 'unknown_type', ref: 'é\n' });
    await stream[Symbol.asyncDispose]();
  });

  test('may be as large at another gateway as at their own', async () => {
    const { stream, session } = await streamAt(there);
    const text = '"\\'.repeat(15_000);
    expect((await up(here, session, { type: 'publish', room: 'r', text, ref: 1 })).status).toBe(202);
    await stream.until(() => stream.frames.some(({ type }) => type === 'published'));
    await stream[Symbol.asyncDispose]();
  });

  test('are refused at another gateway as at their own: an end, a socket, a forged id, another path', async () => {
    const { stream, session } = await streamAt(there);
    await using socket = await Client.multiplex(there.ws('/socket'));
    const [process, channel] = session.split('-');
    const forged = [String(socket.frames[0]?.['session']), `${process}-${channel}-abc`, session.slice(0, -1), 'a-b', '', 'é', '../..', 'a'.repeat(300)];
    for (const id of forged) {
      const answer = await up(here, encodeURIComponent(id), { type: 'ping' });
      expect([id, answer.status, ((await answer.json()) as { error: string }).error]).toEqual([id, 404, 'no_session']);
    }
    for (const body of ['', 'x', '1']) expect((await up(here, session, body)).status).toBe(400);
    await stream[Symbol.asyncDispose]();
    await until(() => there.gateway.state.sessions.sse === 0, 'it has ended');
    expect((await up(here, session, { type: 'ping' })).status).toBe(404);
  });

  test('are 404 where their gateway has said goodbye, and tried again while it may only be cut off', async () => {
    const { stream, session } = await streamAt(there);
    const known = (): string => here.layer.lifeOf(session.split('-')[0] ?? '');
    await until(() => known() === 'alive', 'the other is heard');
    await stream[Symbol.asyncDispose]();
    await there.gateway.close();
    // Its layer lives on, and is heard, but nobody takes what is posted to its sessions.
    const answer = await up(here, session, { type: 'ping' });
    expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([504, 'unknown']);
    await there.layer.close();
    await until(() => known() !== 'alive', 'the other has said goodbye');
    const after = await up(here, session, { type: 'ping' });
    expect([known(), after.status, after.headers.has('retry-after')]).toEqual(['unsure', 503, true]);
  });

  test('are held up by no session that is being stopped, and by no layer that is away', async () => {
    const { stream, session } = await streamAt(there);
    await here.layer.close();
    expect((await up(here, session, { type: 'ping' })).status).toBe(503);
    expect((await up(there, session, { type: 'ping' })).status).toBe(202);
    await stream[Symbol.asyncDispose]();
  });
});

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Client } from './support/client.ts';
import { TestGateway, until } from './support/gateway.ts';
import { StreamClient } from './support/stream.ts';
import { JWT, tokenFor } from './support/tokens.ts';

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

async function up(at: TestGateway, session: string, body: string | object, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(at.http(`/socket?session=${session}`), { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), headers });
}

async function streamAt(at: TestGateway, headers: readonly string[] = []): Promise<{ stream: StreamClient; session: string }> {
  const stream = await StreamClient.open(at.port, '/socket', headers);
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

  test('are not lost without a word where their gateway is about to go: nobody knows, and once it is gone they may be tried again', async () => {
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

  test('are those of its own user alone, at whichever gateway they come to', async () => {
    const flags = ['--auth-jwt', JWT];
    await using one = await TestGateway.start(flags);
    await using two = await TestGateway.start(flags, [], one.bus);
    const bearer = (sub: string): string => `Bearer ${tokenFor({ sub })}`;
    const { stream, session } = await streamAt(two, [`Authorization: ${bearer('bob')}`]);
    for (const at of [one, two]) {
      const statuses: number[] = [];
      for (const headers of [{ Authorization: bearer('alice') }, {}, { Authorization: 'Bearer x' }, { Authorization: bearer('bob') }] as Record<
        string,
        string
      >[])
        statuses.push((await up(at, session, { type: 'ping' }, headers)).status);
      expect(statuses).toEqual([404, 404, 401, 202]);
    }
    await stream.until(() => stream.frames.length === 3);
    expect(stream.frames.slice(1)).toEqual([{ type: 'pong' }, { type: 'pong' }]);
    await stream[Symbol.asyncDispose]();
  });

  test.each<[string, string | Uint8Array<ArrayBuffer>]>([
    ['nothing', ''],
    ['a form', 'type=ping'],
    ['parts', '--a\r\nContent-Disposition: form-data; name="type"\r\n\r\nping\r\n--a--'],
    ['what is compressed', Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0)],
    ['not UTF-8', Buffer.concat([Buffer.from('{"type":"publish","room":"r","text":"'), Uint8Array.of(0xff), Buffer.from('"}')])],
    ['UTF-16', Buffer.from('{"type":"ping"}', 'utf16le')],
    ['a byte order mark', '\ufeff{"type":"ping"}'],
    ['a text', '"ping"'],
    ['nothing of JSON', 'null'],
    ['two frames without a list', '{"type":"ping"}\n{"type":"ping"}'],
    ['a list that does not end', '[{"type":"ping"}'],
  ])('that are none are refused, here and there, with a session and without: %s', async (_, body) => {
    const { stream, session } = await streamAt(there);
    for (const [at, path] of [
      [here, `/socket?session=${session}`],
      [there, `/socket?session=${session}`],
      [here, '/socket'],
    ] as const) {
      const answer = await fetch(at.http(path), { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
      expect([path, answer.status, await answer.json()]).toMatchObject([path, 400, { error: 'bad_request' }]);
    }
    expect((await up(here, session, { type: 'ping' }, { 'Content-Type': 'image/png' })).status).toBe(202);
    await stream.until(() => stream.frames.length === 2);
    expect(stream.frames[1]).toEqual({ type: 'pong' });
    await stream[Symbol.asyncDispose]();
  });

  test('are held up by no session that is being stopped, and by no layer that is away', async () => {
    const { stream, session } = await streamAt(there);
    await here.layer.close();
    expect((await up(here, session, { type: 'ping' })).status).toBe(503);
    expect((await up(there, session, { type: 'ping' })).status).toBe(202);
    await stream[Symbol.asyncDispose]();
  });
});

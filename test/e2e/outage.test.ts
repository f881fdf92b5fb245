import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { Client, MultiplexClient } from './clients.ts';
import { LAYERS, startFleet } from './fleet.ts';

describe.each(LAYERS)('a fleet whose $name goes away', (layer) => {
  test('clients stay, a gap is told, and what is published afterwards arrives', async () => {
    await using fleet = await startFleet(layer, 2);
    const raw = await Promise.all([0, 1].map((index) => Client.open(fleet.ws(index, '/room/1'))));
    const multiplex = await Promise.all([0, 1].map((index) => MultiplexClient.open(fleet.ws(index, '/socket'))));
    for (const client of multiplex) await client.request({ type: 'join', room: '1' });
    await fleet.broker.publish('1', 'before');
    await Promise.all([
      ...raw.map((client) => client.until((received) => received.length === 1)),
      ...multiplex.map((client) => client.until(() => client.messages('1').length === 1)),
    ]);

    await fleet.broker.kill();
    await Promise.all(
      multiplex.map(async (client) => {
        // Until the broker's end is known, what was on its way to it may have been published or not.
        const publish = () => client.request({ type: 'publish', room: '1', text: 'lost' });
        let answer = await publish();
        for (; answer.type === 'published' || answer['code'] === 'unknown'; answer = await publish()) await nextTurn();
        assert.equal(answer['code'], 'away');
        assert.equal((await client.request({ type: 'join', room: '2' }))['code'], 'away');
      }),
    );
    const refused = await fetch(fleet.http(0, '/room/1'), { method: 'POST', body: 'lost' });
    assert.equal(refused.status, 503);
    assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/);
    const upgrade = await Client.refused(fleet.ws(0, '/room/1'));
    assert.equal(upgrade, 503);
    assert.equal((await multiplex[0]?.request({ type: 'join', room: '1' }))?.['code'], 'away', 'also a room that is subscribed');
    assert.equal((await fetch(fleet.ops(0, '/readyz'))).status, 200);

    await fleet.broker.start();
    await Promise.all(multiplex.map((client) => client.until(() => client.frames.some((frame) => frame.type === 'gap'))));
    await fleet.broker.publish('1', 'after');
    await Promise.all(raw.map((client) => client.until((received) => received.at(-1) === 'after')));
    await Promise.all(multiplex.map((client) => client.until(() => client.messages('1').at(-1) === 'after')));
    for (const client of raw) assert.deepEqual([client.received[0], client.received.at(-1), client.received.length], ['before', 'after', 2]);
    for (const client of multiplex) {
      const told = client.frames.filter((frame) => frame.type === 'gap' || frame.type === 'message');
      assert.deepEqual(
        told.map((frame) => frame['text'] ?? frame.type),
        ['before', 'gap', 'after'],
      );
      assert.equal(typeof told[1]?.['after'], 'number');
    }
  });
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

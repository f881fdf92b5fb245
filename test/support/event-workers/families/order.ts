import { expect, test } from 'vitest';
import type { Family } from '../family.ts';

const BURST = 500;
/** Where nobody says how long an event may take, workers say after 10 s that they are at it. */
const UNSAID_MS = 9000;

export const order: Family = ({ stage }) => {
  test('each event is handled after the one before it, and answered with its order', async () => {
    const { gateway } = stage();
    const session = gateway.session();
    await session.accepted();
    const said = Array.from({ length: 20 }, (_, n) => `number ${n}`);
    for (const text of said) await session.receive(text);
    const orders = Array.from({ length: 21 }, (_, n) => n);
    await session.done(...orders);
    expect(session.handled).toEqual(orders);
    expect(session.replies.all.filter(({ type }) => type === 'websocket.send').map(({ text }) => text)).toEqual(said);
    await stage().sees(session, ({ text }) => text === said.at(-1), 'the last of them');
    expect(
      stage()
        .saw(session)
        .map(({ text }) => text),
    ).toEqual([undefined, ...said]);
  });

  test('an event is handled when its handler has ended, and what the handler says before leaves at once', async () => {
    const { gateway } = stage();
    const session = gateway.session();
    await session.accepted();
    const hold = stage().hold();
    await session.receive(hold.word);
    expect(await session.frame()).toBe('holding');
    const marker = gateway.session();
    await marker.accepted();
    await marker.receive('marker');
    expect(await marker.frame()).toBe('marker');
    expect(session.handled).not.toContain(1);
    await hold.end();
    expect(await session.frame()).toBe('held');
    await session.done(1);
  });

  test('a session whose handler is slow holds up no other, and its own events wait', async () => {
    const { gateway } = stage();
    const [slow, quick] = [gateway.session(), gateway.session()];
    for (const session of [slow, quick]) await session.accepted();
    const hold = stage().hold();
    for (const text of [hold.word, 'after it']) await slow.receive(text);
    expect(await slow.frame()).toBe('holding');
    for (const text of ['a', 'b', 'c']) await quick.receive(text);
    expect([await quick.frame(), await quick.frame(), await quick.frame()]).toEqual(['a', 'b', 'c']);
    await hold.end();
    expect([await slow.frame(), await slow.frame()]).toEqual(['held', 'after it']);
  });

  test('what a handler says in one go arrives in its order', async () => {
    const session = stage().gateway.session();
    await session.accepted();
    await session.receive(`burst ${BURST}`);
    for (let n = 0; n < BURST; n += 1) expect(await session.frame()).toBe(String(n));
  });

  test('an event that a broker brings twice is handled once', async () => {
    const session = stage().gateway.session();
    await session.accepted();
    await session.receive('one');
    session.order -= 1;
    await session.receive('one');
    await session.receive('two');
    expect([await session.frame(), await session.frame()]).toEqual(['one', 'two']);
  });

  test('of an event that takes long its gateway is told that it is being handled, before its time is over', async () => {
    const session = stage().gateway.session();
    await session.accepted();
    const hold = stage().hold();
    const began = performance.now();
    for (const text of [hold.word, 'after it']) await session.receive(text, {}, 2000);
    expect([(await session.reply('working'))['order'], (await session.reply('working'))['order']]).toEqual([1, 2]);
    expect(performance.now() - began).toBeLessThan(UNSAID_MS);
    await hold.end();
    await session.done(1, 2);
  });
};

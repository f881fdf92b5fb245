import { expect, test } from 'vitest';
import type { Family } from '../family.ts';

export const fences: Family = ({ stage }) => {
  test('each reply says under which lease it speaks', async () => {
    const session = stage().gateway.session();
    session.lease = 7;
    await session.accepted();
    const hold = stage().hold();
    for (const text of ['a', 'state x', 'join r', hold.word]) await session.receive(text);
    await session.reply('room.join');
    await hold.end();
    await session.done(1, 2, 3, 4);
    expect(new Set(session.replies.all.map(({ lease }) => lease))).toEqual(new Set([7]));
  });

  test('an event of another lease is not handled', async () => {
    const session = stage().gateway.session();
    session.lease = 5;
    await session.accepted();
    await session.receive('yesterday', { lease: 4 });
    await session.receive('tomorrow', { lease: 6 });
    await session.disconnect(1006, { lease: 4 });
    await session.receive('now');
    expect(await session.frame()).toBe('now');
    await stage().sees(session, ({ text }) => text === 'now', 'the one of its lease');
    expect(
      stage()
        .saw(session)
        .map(({ saw, text }) => text ?? saw),
    ).toEqual(['connect', 'now']);
  });

  test('a session that comes back to the same worker begins anew there, and its first handler is told no end', async () => {
    const session = stage().gateway.session();
    await session.accepted();
    await session.receive('one');
    expect(await session.frame()).toBe('one');
    expect(await session.resumed({ state: 'kept', undone: 2 })).toMatchObject({ lease: 2 });
    await session.receive('two');
    expect(await session.reply('websocket.send')).toMatchObject({ text: 'two', lease: 2 });
    await session.disconnect(1000);
    await stage().sees(session, ({ saw }) => saw === 'disconnect', 'the end');
    expect(stage().saw(session)).toMatchObject([
      { saw: 'connect', resumed: false, undone: 0, state: null },
      { saw: 'receive', text: 'one' },
      { saw: 'connect', resumed: true, undone: 2, state: 'kept' },
      { saw: 'receive', text: 'two' },
      { saw: 'disconnect', code: 1000 },
    ]);
  });
};

import { describe, expect, test } from 'vitest';
import type { Session } from '../session.ts';
import type { Family } from '../family.ts';
import type { Stage } from '../stage.ts';

/** So many that each of two workers takes some. */
const SESSIONS = 12;

export const ends: Family = ({ subject, stage, open }) => {
  test('the end is told once, after all that came before it, with its code and its reason', async () => {
    const session = stage().gateway.session();
    await session.accepted();
    const hold = stage().hold();
    for (const text of [hold.word, 'a', 'b']) await session.receive(text);
    await session.reply('websocket.send');
    for (const reason of ['away', 'again']) await session.disconnect(1001, { reason });
    await hold.end();
    await stage().sees(session, ({ saw }) => saw === 'disconnect', 'the end');
    await nothingMore(stage());
    expect(stage().saw(session)).toMatchObject([
      { saw: 'connect' },
      { text: hold.word },
      { text: 'a' },
      { text: 'b' },
      { saw: 'disconnect', code: 1001, reason: 'away' },
    ]);
  });

  test('after a close of its own a worker has handled what was in flight, of which its application is given nothing', async () => {
    const session = stage().gateway.session();
    await session.accepted();
    const hold = stage().hold();
    for (const text of [hold.word, 'close 4001 enough', 'late', 'later']) await session.receive(text);
    await hold.end();
    expect(await session.reply('websocket.close')).toMatchObject({ code: 4001, reason: 'enough' });
    await session.receive('last');
    await session.done(1, 2, 3, 4, 5);
    await session.disconnect(4001, { reason: 'enough' });
    await stage().sees(session, ({ saw }) => saw === 'disconnect', 'the end');
    await nothingMore(stage());
    expect(stage().saw(session)).toMatchObject([
      { saw: 'connect' },
      { text: hold.word },
      { text: 'close 4001 enough' },
      { saw: 'disconnect', code: 4001, reason: 'enough' },
    ]);
  });

  test('of sessions that were given back, the ends that crossed with that are told', async () => {
    await using two = await open(1);
    const [busy, resting] = [two.gateway.session(), two.gateway.session()];
    for (const session of [busy, resting]) await session.accepted();
    const hold = two.hold();
    await busy.receive(hold.word);
    await busy.reply('websocket.send');
    two.workers[0]?.signal('SIGTERM');
    await resting.reply('websocket.release');
    await resting.disconnect(1001);
    if (subject.takesLeave) await two.sees(resting, ({ saw }) => saw === 'disconnect', 'the end');
    await hold.end();
    await busy.reply('websocket.release');
    expect(await two.workers[0]?.exited).toEqual({ code: 0, signal: null });
    const told = two.saw(resting).filter(({ saw }) => saw === 'disconnect');
    expect(told).toMatchObject(subject.takesLeave ? [{ code: 1001 }] : []);
  });

  describe('in the queue of the route, where any worker takes it', () => {
    test('is told to the one that refused the client', async () => {
      await using two = await open(2);
      const sessions = Array.from({ length: SESSIONS }, () => two.gateway.session('/app/refuse'));
      for (const session of sessions) {
        await session.connect();
        await session.done(0);
        await session.disconnect(1006);
      }
      expect(await told(two, sessions)).toEqual(sessions.map(() => [1006]));
    });

    test('is handed on to the one that has the session, where a gateway died', async () => {
      await using two = await open(2);
      const sessions = await accepted(two);
      for (const session of sessions) await session.leftByGateway({ own_queue: session.ownQueue as string });
      expect(await told(two, sessions)).toEqual(sessions.map(() => [1006]));
      for (const session of sessions) expect(two.saw(session).map(({ saw }) => saw)).toEqual(['connect', 'disconnect']);
    });

    test('is told to the one that has the session, where a gateway died before it could write down who that is', async () => {
      await using two = await open(2);
      const sessions = await accepted(two);
      for (const session of sessions) await session.leftByGateway();
      expect(await told(two, sessions)).toEqual(sessions.map(() => [1006]));
    });

    test('is handled by the one that takes it, where the one that had the session is dead, too', async () => {
      await using two = await open(2);
      const session = two.gateway.session();
      await session.leftByGateway({ own_queue: 'app.w.gone', state: 'kept', lease: 3 });
      const marker = two.gateway.session();
      await marker.leftByGateway({ own_queue: 'app.w.gone' });
      if (subject.takesLeave) expect(await told(two, [session, marker])).toEqual([[1006], [1006]]);
      else await nothingMore(two);
      expect(session.replies.all.filter(({ type }) => type !== 'done')).toEqual([]);
    });
  });
};

async function accepted(stage: Stage): Promise<readonly Session[]> {
  const sessions = Array.from({ length: SESSIONS }, () => stage.gateway.session());
  for (const session of sessions) await session.accepted();
  return sessions;
}

/** With which codes workers were told the end of each of these, once every one is. */
async function told(stage: Stage, sessions: readonly Session[]): Promise<readonly (readonly unknown[])[]> {
  for (const session of sessions) await stage.sees(session, ({ saw }) => saw === 'disconnect', `the end of ${session.id}`);
  await nothingMore(stage);
  return sessions.map((session) => stage.saw(session).flatMap(({ saw, code }) => (saw === 'disconnect' ? [code] : [])));
}

/** Whatever was under way has come: workers have ended in order. */
async function nothingMore(stage: Stage): Promise<void> {
  const marker = stage.gateway.session();
  await marker.accepted();
  await marker.receive('marker');
  await marker.frame();
}

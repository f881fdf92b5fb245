import { expect, test } from 'vitest';
import type { Family } from '../family.ts';

export const stops: Family = ({ open }) => {
  test('a worker says that it works, and that it stops', async () => {
    await using stage = await open(1);
    const session = stage.gateway.session();
    await session.accepted();
    const beats = await stage.gateway.beats(session.ownQueue as string);
    expect(await beats.take(2)).toEqual(['working', 'working']);
    stage.workers[0]?.signal('SIGTERM');
    await beats.find((beat) => beat === 'stopping');
    expect(beats.all.indexOf('stopping')).toBe(beats.all.lastIndexOf('working') + 1);
  });

  test('what is in hand is finished, nothing more is begun, and each session is given back', async () => {
    await using stage = await open(1);
    const [worker] = stage.workers;
    const [busy, resting] = [stage.gateway.session(), stage.gateway.session()];
    for (const session of [busy, resting]) await session.accepted();
    const hold = stage.hold();
    for (const text of [hold.word, 'not begun']) await busy.receive(text);
    await busy.reply('websocket.send');
    worker?.signal('SIGTERM');
    expect(await resting.reply('websocket.release')).toMatchObject({ lease: 1 });
    await hold.end();
    expect(await busy.frame()).toBe('held');
    await busy.reply('websocket.release');
    expect(await worker?.exited).toEqual({ code: 0, signal: null });
    expect(busy.handled).toEqual([0, 1]);
    expect(busy.replies.all.at(-1)).toMatchObject({ type: 'websocket.release', lease: 1 });
    await stage.sees(busy, ({ text }) => text === hold.word, 'what it had in hand');
    expect(stage.saw(busy).map(({ saw, text }) => text ?? saw)).toEqual(['connect', hold.word]);
    expect(stage.saw(resting).map(({ saw }) => saw)).toEqual(['connect']);
  });

  test('a worker that stops takes no new session: another one has it, and those that it gave back', async () => {
    await using stage = await open(1);
    const [first] = stage.workers;
    const [busy, newcomer] = [stage.gateway.session(), stage.gateway.session()];
    const firstQueue = (await busy.accepted())['queue'];
    const hold = stage.hold();
    await busy.receive(hold.word);
    await busy.reply('websocket.send');
    const beats = await stage.gateway.beats(firstQueue as string);
    first?.signal('SIGTERM');
    await beats.find((beat) => beat === 'stopping');
    await newcomer.connect();
    await stage.start();
    expect((await newcomer.reply('websocket.accept'))['queue']).not.toBe(firstQueue);
    await hold.end();
    await busy.reply('websocket.release');
    expect((await busy.resumed({ state: 'kept' }))['queue']).not.toBe(firstQueue);
    await busy.receive('on and on');
    expect(await busy.frame()).toBe('on and on');
    await busy.disconnect(1000);
    await stage.sees(busy, ({ saw }) => saw === 'disconnect', 'the end');
    expect(stage.saw(busy)).toMatchObject([
      { saw: 'connect', resumed: false },
      { text: hold.word },
      { saw: 'connect', resumed: true, state: 'kept' },
      { text: 'on and on' },
      { saw: 'disconnect', code: 1000 },
    ]);
  });
};

import { setTimeout as pass } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Family } from '../family.ts';

/** Longer than gateways wait for a sign of life. */
const FROZEN_MS = 11_000;

export const frozen: Family = ({ open }) => {
  test('a worker that stood still for so long that others have its sessions lets go of them, and is told no end', async () => {
    await using stage = await open(1);
    const [worker] = stage.workers;
    const session = stage.gateway.session();
    await session.accepted();
    await session.done(0);
    worker?.signal('SIGSTOP');
    worker?.awaitStop();
    await pass(FROZEN_MS);
    // Another worker has it by now, under the next lease; this one's queue still holds what was sent before.
    await session.receive('too late');
    worker?.signal('SIGCONT');
    expect(await session.reply('websocket.release')).toMatchObject({ lease: 1 });
    const next = stage.gateway.session();
    await next.accepted();
    await next.receive('works on');
    expect(await next.frame()).toBe('works on');
    expect(stage.saw(session).map(({ saw }) => saw)).toEqual(['connect']);
    expect(session.handled).toEqual([0]);
  });
};

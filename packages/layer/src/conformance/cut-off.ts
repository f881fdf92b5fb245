import assert from 'node:assert/strict';
import type { LayerOptions } from '../contract.ts';
import type { ChannelLayer } from '../layer.ts';
import { next, record, until } from './expect.ts';
import { isSettledByOthers } from './lease-faults.ts';
import type { Stage } from './stage.ts';
import type { Family } from './suite.ts';
import { Way } from './cuttable-way.ts';

/** A broker that other ports of this machine can lead to, so that one process is cut off from it while others go on. */
export interface Reachable {
  /** Where the broker listens on 127.0.0.1. */
  readonly port: () => number;
  /** Opens a layer as the subject does, on a broker that listens on that port. */
  readonly openAt: (port: number, options: LayerOptions) => Promise<ChannelLayer>;
}

/** What one process misses while others go on. */
export function cutOff(reachable: Reachable): Family {
  return {
    title: 'one process is cut off while others go on',
    tests: {
      "a room's subscribers in it get one gap, the others none": (stage) =>
        oneIsCutOff(stage, reachable, async ({ here, apart, cut, mend }) => {
          const [present, absent] = [await record(here, 'room'), await record(apart, 'room')];
          await cut();
          await here.publish('room', 'missed');
          await mend();
          await here.publish('room', 'after');
          await Promise.all([present.seen('after'), absent.seen('after')]);
          const waited = apart.capabilities.waitsForProcesses === true ? ['missed'] : [];
          assert.deepEqual(
            [present.texts, absent.texts],
            [
              ['missed', 'after'],
              ['GAP', ...waited, 'after'],
            ],
          );
        }),

      'a worker queue that it had added and another discarded meanwhile stays discarded when it returns': (stage) =>
        oneIsCutOff(stage, reachable, async ({ here, apart, cut, mend }) => {
          if (!here.capabilities.groups || !here.capabilities.queues) return;
          for (const queue of ['discarded', 'kept']) await apart.groupAdd('group', queue);
          await cut();
          await here.groupDiscard('group', 'discarded');
          await mend();
          // What it does on its return comes before this.
          await apart.groupAdd('group', 'marker');
          await here.groupSend('group', { to: 'members' });
          for (const queue of ['marker', 'kept']) assert.deepEqual(await next(here, queue), { to: 'members' });
          await here.send('discarded', { direct: true });
          assert.deepEqual(await next(here, 'discarded'), { direct: true });
        }),

      'what it holds for longer than its lease is settled by others, each record once; when it returns it learns so, and settles nothing': (stage) =>
        oneIsCutOff(stage, reachable, isSettledByOthers),
    },
  };
}

interface Parts {
  readonly here: ChannelLayer;
  readonly apart: ChannelLayer;
  /** What `apart` says is taken by nobody, and it is told nothing, until it is cut off. */
  readonly hold: () => void;
  readonly cut: () => Promise<void>;
  readonly mend: () => Promise<void>;
}

/** `apart` reaches the broker by a way of its own. */
export async function oneIsCutOff(stage: Stage, { port, openAt }: Reachable, body: (parts: Parts) => Promise<void>, options: LayerOptions = {}): Promise<void> {
  await using way = await Way.to(port());
  const here = await stage.open(options);
  await using apart = await stage.openBy((whole) => openAt(way.port, whole), options);
  await body({
    here,
    apart,
    hold: () => way.hold(),
    cut: async () => {
      way.cut();
      await until(() => apart.status.state === 'away', 'status away');
    },
    mend: async () => {
      await way.mend();
      await until(() => apart.status.state === 'connected', 'status connected');
    },
  });
}

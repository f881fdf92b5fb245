import assert from 'node:assert/strict';
import type { LayerOptions } from '../contract.ts';
import { isLayerError } from '../errors.ts';
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

      'what it published with an id, and does not know of, may be published again by anybody: each is there once': (stage) =>
        oneIsCutOff(stage, reachable, publishesAgain, KEPT),

      'what it holds for longer than its lease is settled by others, each record once; when it returns it learns so, and settles nothing': (stage) =>
        oneIsCutOff(stage, reachable, isSettledByOthers),
    },
  };
}

const KEPT = { history: [{ rooms: 'kept.>', size: 100_000, ageMs: 60_000 }] } as const;
/** Publishes between two turns of the loop, so that some are always on their way. */
const AT_ONCE = 10;
const BEFORE_THE_CUT = 200;

/** Publishes until some are in doubt, and then all those that failed again. */
async function publishesAgain({ here, apart, cut, mend }: Parts): Promise<void> {
  if (!here.capabilities.publishIds) return;
  const failed: string[] = [];
  let inDoubt = 0;
  let published = 0;
  while (inDoubt === 0) {
    const end = published + BEFORE_THE_CUT;
    const publishing: Promise<unknown>[] = [];
    let cutting: Promise<void> | undefined;
    for (; apart.status.state === 'connected'; published += 1) {
      const id = `${published}`;
      const note = (error: unknown): void => {
        failed.push(id);
        if (isLayerError(error, 'OUTCOME_UNKNOWN')) inDoubt += 1;
      };
      publishing.push(apart.publish('kept.cut', id, { id }).catch(note));
      if (published === end) cutting = cut();
      if (published % AT_ONCE === 0) await new Promise(setImmediate);
    }
    await Promise.all(publishing);
    await cutting;
    await mend();
  }
  for (const id of failed) {
    const first = await here.publish('kept.cut', id, { id });
    assert.deepEqual(await apart.publish('kept.cut', 'again', { id }), first);
  }
  const { messages } = await here.history('kept.cut', undefined, { last: published });
  const texts = messages.map(({ payload }) => Buffer.from(payload).toString());
  assert.deepEqual(
    texts.toSorted((one, other) => Number(one) - Number(other)),
    Array.from({ length: published }, (_, n) => `${n}`),
  );
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

import assert from 'node:assert/strict';
import type { Driver } from '../driver/driver.ts';
import { LayerError, type LayerErrorCode } from '../errors.ts';
import { take } from './expect.ts';
import type { Stage } from './stage.ts';
import type { Family } from './suite.ts';

/** What was sent to many and could not be given to one of them: to reject would have it sent to all the others again. */
export const halfDone: Family = {
  title: 'a group of which one queue fails while the rest is delivered',
  needs: 'groups',
  tests: {
    'its push is refused: the send resolves and counts it in dropped; all others have the message, once': (stage) => oneFails(stage, 'LAYER_AWAY', false),
    'the answer to its push is lost: so too, and that queue may have it': (stage) => oneFails(stage, 'OUTCOME_UNKNOWN', true),
  },
};

const QUEUES = ['one', 'broken', 'two', 'broken.too'];

async function oneFails(stage: Stage, code: LayerErrorCode, isPushed: boolean): Promise<void> {
  const told: string[] = [];
  const failed: string[] = [];
  const logger = { info() {}, warn: (message: string): void => void told.push(message), error() {} };
  const sender = await stage.openChanged({ logger }, (driver) => ({ push: failingAt(driver, code, isPushed, failed) }));
  if (sender === undefined) return;
  const reader = await stage.open();
  const members = [sender, reader].map((layer) => ({ layer, channel: layer.newChannel() }));
  if (sender.capabilities.queues) for (const channel of QUEUES) members.push({ layer: reader, channel });
  for (const { layer, channel } of members) await layer.groupAdd('group', channel);
  const { dropped = 0 } = await sender.groupSend('group', { n: 1 });
  // Where the broker itself gives it to all members nothing is pushed that could fail.
  assert.deepEqual([dropped, sender.stats.droppedFull, told.length], [failed.length, 0, Math.min(failed.length, 1)]);
  const lacking = isPushed ? [] : [...failed];
  assert.ok(failed.length === 0 || failed.length === 2);
  await reader.groupSend('group', { n: 2 });
  for (const { layer, channel } of members) {
    const got = await take(layer, channel, lacking.includes(channel) ? 1 : 2);
    assert.deepEqual(got, lacking.includes(channel) ? [{ n: 2 }] : [{ n: 1 }, { n: 2 }], channel);
  }
}

/** Fails for some queues, of which it notes the names. */
function failingAt(driver: Driver, code: LayerErrorCode, isPushed: boolean, failed: string[]): Driver['push'] {
  const push = driver.push.bind(driver);
  return async (queue, ...rest) => {
    if (!queue.startsWith('broken')) return push(queue, ...rest);
    failed.push(queue);
    if (isPushed) await push(queue, ...rest);
    throw new LayerError(code, 'not this queue');
  };
}

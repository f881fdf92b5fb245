import type { PushOptions } from '@busgate/layer/driver';
import type { Item } from './joined-calls.ts';
import { Keys } from './keys.ts';
import { SCRIPTS, type Runner } from './scripts.ts';

/** How a message is pushed; how long it lives is always said. */
export type Push = PushOptions & Required<Pick<PushOptions, 'expiryMs'>>;

/** What became of a message: `seen` is one whose id was pushed before. */
export type Pushed = 'full' | 'appended' | 'seen';

const OUTCOMES: readonly Pushed[] = ['full', 'appended', 'seen'];

/**
 * Pushes messages into the queue with that key in one step; answers what became of each. Keys of ids are named, so that a slot that is on its way moves them
 * as one with the queue.
 */
export async function push(runner: Runner, key: string, capacity: number, items: readonly Item<Push>[]): Promise<(index: number) => Pushed> {
  const ids = items.flatMap(({ options: { id } }) => (id === undefined ? [] : [Keys.idBeside(key, id)]));
  const said = items.flatMap(({ payload, options: { expiryMs, id = '', exempt = false } }) => [payload, expiryMs, id, exempt ? '1' : '']);
  const outcomes = (await SCRIPTS.push.run(runner, [key, ...ids], capacity, ...said)) as number[];
  return (index) => OUTCOMES[outcomes[index] ?? 0] ?? 'full';
}

import { setTimeout as delay } from 'node:timers/promises';
import type { ChannelLayer } from '@busgate/layer';

const A_TURN = 500;
const TICK_MS = 20;
/** What {@link publishUntilAway} publishes. */
export const PAYLOAD = 'x'.repeat(20_000);

/** The code with which a call ends; `ok` where it does not fail. */
export function outcome(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'ok',
    (error: { code?: string }) => String(error.code),
  );
}

/** Publishes 500 messages of 20 kB at a time, without waiting for their answers, until the layer has found that its broker is away. How each of them ended. */
export async function publishUntilAway(layer: ChannelLayer, room: string): Promise<string[]> {
  const outcomes: Promise<string>[] = [];
  while (layer.status.state === 'connected') {
    for (let count = 0; count < A_TURN; count += 1) outcomes.push(outcome(layer.publish(room, PAYLOAD)));
    await delay(10);
  }
  return Promise.all(outcomes);
}

/**
 * Publishes `held up` again and again until a call fails, since a broker does not stop at the very moment that it is told to. The code of the one that
 * failed, and how long it took to find out, without the time for which a busy machine kept this process from running.
 */
export async function publishUntilHeldUp(layer: ChannelLayer, room: string): Promise<{ code: string; withinMs: number }> {
  const begun = performance.now();
  let code = 'ok';
  let delayed = 0;
  const watch = (async () => {
    while (code === 'ok') {
      const asleep = performance.now();
      await delay(TICK_MS);
      delayed += Math.max(0, performance.now() - asleep - TICK_MS);
    }
  })();
  while (code === 'ok') code = await outcome(layer.publish(room, 'held up'));
  const withinMs = performance.now() - begun - delayed;
  await watch;
  return { code, withinMs };
}

/** Attempts it again until it succeeds, as what needs a leader does after an election. */
export async function persist<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch {
      await delay(100);
    }
  }
}

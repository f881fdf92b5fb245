import { setTimeout as delay } from 'node:timers/promises';
import type { ChannelLayer } from '@busgate/layer';

const A_TURN = 500;
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

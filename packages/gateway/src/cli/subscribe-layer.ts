import { isLayerError, type LayerOptions, openLayer, type RoomListener, type Subscription } from '@busgate/layer';
import { ReconnectWaits } from './reconnect-waits.ts';
import type { Output } from './output.ts';
import { note } from './reasons.ts';

/** Listens to the room straight at the broker. */
export async function subscribeLayer(url: string, options: LayerOptions, room: string, output: Output, signal: AbortSignal): Promise<number> {
  const layer = await openLayer(url, options);
  const listener: RoomListener = ({ payload }) => {
    if (payload === undefined) note('subscribe', 'messages may have been lost: the broker was away');
    else if (!signal.aborted) output.write(payload);
  };
  try {
    const subscription = await keepAsking(() => layer.subscribe(room, listener), signal);
    if (subscription !== undefined && !signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    return 0;
  } finally {
    await layer.close();
  }
}

async function keepAsking(ask: () => Promise<Subscription>, signal: AbortSignal): Promise<Subscription | undefined> {
  const waits = new ReconnectWaits();
  while (!signal.aborted) {
    try {
      return await ask();
    } catch (error) {
      if (!isLayerError(error, 'LAYER_AWAY') && !isLayerError(error, 'OUTCOME_UNKNOWN')) throw error;
      if (waits.failures === 0) note('subscribe', 'the broker is away; trying again until it is back');
      await waits.wait(signal);
    }
  }
  return undefined;
}

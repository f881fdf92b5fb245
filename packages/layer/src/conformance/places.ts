import type { LayerOptions } from '../contract.ts';
import type { ChannelLayer } from '../layer.ts';
import type { Stage } from './stage.ts';

/** A channel, who reads it and who sends to it. */
export interface Place {
  readonly sender: ChannelLayer;
  readonly reader: ChannelLayer;
  readonly channel: string;
}

/** A channel of the reading process, sent to by itself and by another; and a worker queue where there are some. */
export async function places(stage: Stage, options: LayerOptions = {}): Promise<Place[]> {
  const [here, there] = await stage.openTwo(options);
  const result = [
    { sender: here, reader: here, channel: here.newChannel() },
    { sender: there, reader: here, channel: here.newChannel() },
  ];
  if (here.capabilities.queues) result.push({ sender: there, reader: here, channel: 'work' });
  return result;
}

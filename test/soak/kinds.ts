import type { Kind } from './kind.ts';
import { FRAMES } from './kinds/frames.ts';
import { REQUESTS } from './kinds/requests.ts';
import { SOCKETS } from './kinds/sockets.ts';
import { STREAMS } from './kinds/streams.ts';
import { WORLD } from './kinds/world.ts';
import type { LayerName } from './stage.ts';

/** All that clients, workers and operators do, and what goes wrong meanwhile. */
const KINDS: readonly Kind[] = [...SOCKETS, ...STREAMS, ...REQUESTS, ...FRAMES, ...WORLD];

export function kindsOn(layer: LayerName): readonly Kind[] {
  return KINDS.filter(({ layers }) => layers?.includes(layer) ?? true);
}

import { describe, test } from 'vitest';
import type { Capabilities } from '@busgate/layer';
import { layerConformance } from '@busgate/layer/conformance';
import { ChannelLayer } from '../src/layer.ts';
import { createDriver } from '../src/memory/index.ts';
import { resolveOptions } from '../src/options.ts';

let opened = 0;

/** A layer that carries live rooms and nothing else: what it cannot do it must say. */
layerConformance(
  { describe, test },
  {
    name: 'memory, live rooms only',
    open: async (options) => {
      const resolved = resolveOptions(options);
      const process = `narrow-${(opened += 1)}`;
      const driver = createDriver('memory:narrow', { options: resolved, process });
      const capabilities: Capabilities = { roomOrder: 'total', history: false, queues: false, groups: false, processes: false };
      const layer = new ChannelLayer(Object.assign(driver, { capabilities }), resolved, process);
      await layer.open();
      return layer;
    },
  },
);

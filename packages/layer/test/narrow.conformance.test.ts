import { describe, test } from 'vitest';
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
      const layer = new ChannelLayer(
        Object.assign(driver, { capabilities: { ...driver.capabilities, history: false, queues: false, groups: false } }),
        resolved,
        process,
      );
      await layer.open();
      return layer;
    },
  },
);

import { describe, test } from 'vitest';
import { openLayer } from '@busgate/layer';
import { layerConformance } from '@busgate/layer/conformance';
import { createDriver } from '../src/memory/index.ts';
import { publishRaw } from './support/memory.ts';

layerConformance(
  { describe, test },
  {
    name: 'memory',
    open: (options) => openLayer('memory:conformance', options),
    publishRaw,
    createDriver: (context) => createDriver('memory:conformance', context),
  },
);

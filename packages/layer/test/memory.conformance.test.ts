import { describe, test } from 'vitest';
import { layerConformance } from '@busgate/layer/conformance';
import { openLayer } from '@busgate/layer';

layerConformance({ describe, test }, { name: 'memory', open: (options) => openLayer('memory:conformance', options) });

import type { TopicKind } from '@busgate/layer/driver';
import { createDriver } from '../../src/memory/index.ts';
import { resolveOptions } from '../../src/options.ts';

/** Publishes on `memory:conformance` as its own client would: by the topic's name. */
export async function publishRaw(topicName: string, payload: Uint8Array): Promise<void> {
  const [prefix = '', kind, name = ''] = topicName.split(':');
  const driver = createDriver('memory:conformance', { options: resolveOptions({ prefix }), process: 'outside' });
  await driver.publish({ kind: kind as TopicKind, name }, payload);
  await driver.close();
}

import type { DriverContext, DriverEvents } from '@busgate/layer/driver';
import { SingleBroker, type Broker } from './broker.ts';
import { ClusterBroker } from './cluster.ts';
import { accessTo, type Connection } from './connection.ts';
import type { Keys } from './keys.ts';
import { Preflight } from './preflight.ts';
import { loadScripts, restoreFunction } from './scripts.ts';
import { Sentinels } from './sentinel.ts';
import { Shard } from './shard.ts';
import { addressOf, type Node, type Target } from './url.ts';

export interface BrokerEvents extends Pick<DriverEvents, 'fault'> {
  /** Its state may have changed. */
  changed(): void;
}

/** The broker that the URL names. */
export function brokerFor(target: Target, keys: Keys, { options, process }: DriverContext, events: BrokerEvents): Broker {
  const { logger } = options;
  const access = accessTo(target, `${options.prefix}:${process}`);
  const preflight = new Preflight(logger);
  const changed = (): void => events.changed();
  const fault: BrokerEvents['fault'] = (kind, reason) => events.fault(kind, reason);
  let hasFunction = false;
  const proved = (connection: Connection): void => {
    if (hasFunction) void restoreFunction(connection).catch(() => undefined);
  };
  const greet = async (connection: Connection): Promise<string | undefined> => {
    const id = await preflight.check(connection);
    const missing = await loadScripts(connection, options.history.length > 0);
    hasFunction = options.history.length > 0 && missing === undefined;
    if (missing !== undefined) preflight.tell('other programs must append to histories by EVAL: the function busgate_publish is not here', { reason: missing });
    return id;
  };
  if (target.kind === 'cluster') {
    return new ClusterBroker({
      seeds: target.nodes,
      access,
      changed,
      fault,
      unsharded: () =>
        preflight.tell('this cluster has no sharded pub/sub: each message goes to every node, and its order is its publisher’s alone; Redis 7 has it', {}),
      shard: (node, sharded, moved, shardChanged) =>
        new Shard({
          access,
          logger,
          fault,
          sharded,
          moved,
          greet,
          proved,
          probeChannel: keys.probe(`${process}:${addressOf(node)}`),
          writeProbe: undefined,
          locate: async () => node,
          relocate: async () => undefined,
          changed: shardChanged,
        }),
    });
  }
  const sentinels = target.kind === 'sentinel' ? sentinelsOf(target, options.logger) : undefined;
  const [node] = target.nodes as [Node];
  const shard = new Shard({
    access,
    logger,
    fault,
    greet,
    proved,
    changed,
    sharded: false,
    moved: () => undefined,
    probeChannel: keys.probe(process),
    writeProbe: keys.nothing,
    locate: sentinels === undefined ? async () => node : () => sentinels.locate(),
    relocate: sentinels === undefined ? async () => undefined : () => sentinels.relocate(),
  });
  return new SingleBroker(shard, () => sentinels?.close());
}

function sentinelsOf(target: Target, logger: DriverContext['options']['logger']): Sentinels {
  const access = { ...accessTo(target, 'busgate'), credentials: target.sentinelCredentials, db: 0 };
  return new Sentinels(target.nodes, target.primary ?? '', access, logger);
}

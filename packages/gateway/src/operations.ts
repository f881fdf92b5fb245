import type { ChannelLayer } from '@busgate/layer';
import type { Auth } from './auth.ts';
import type { Config } from './config.ts';
import { Fleet } from './fleet/fleet.ts';
import { LocalGateway } from './fleet/local.ts';
import type { Hub } from './hub.ts';
import type { Log } from './log.ts';
import { Api } from './ops/api.ts';
import type { OpsApi } from './ops/call.ts';
import type { Publishing } from './ops/calls/publish.ts';
import { callsOf } from './ops/table.ts';
import type { Sessions } from './session/registry.ts';

interface OperationsOptions {
  readonly config: Config;
  readonly layer: ChannelLayer;
  readonly hub: Hub;
  readonly sessions: Sessions;
  readonly auth: Pick<Auth, 'revocations'>;
  readonly version: string;
  readonly log: Log;
  readonly isDraining: () => boolean;
  /** Begins what SIGTERM does. */
  readonly drain: () => void;
}

/** What operators can see and do of a gateway and its fleet, beside metrics. Nothing of it is there without `ops.key`. */
export class Operations {
  readonly api: OpsApi;
  readonly #fleet: Fleet | undefined;

  constructor({ config, layer, hub, sessions, auth, version, log, isDraining, drain }: OperationsOptions) {
    const { layerMessage, message } = config.limits;
    const { answer } = new LocalGateway({ layer, hub, sessions, version, isDraining, layerMessage });
    const fleet = new Fleet({ layer, answer, log, now: () => performance.now() });
    const publish: Publishing['publish'] = (room, payload, { id, traceparent }) => hub.publish(room, payload, 'ops', id, traceparent);
    this.api = new Api(callsOf({ fleet, layer, config, publish, message, log, drain, version, revocations: auth.revocations }), log);
    this.#fleet = config.ops.key === undefined ? undefined : fleet;
  }

  /** To be called often. */
  look(): void {
    this.#fleet?.look();
  }

  async close(): Promise<void> {
    await this.#fleet?.close();
  }
}

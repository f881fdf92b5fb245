import { connect } from 'nats';
import { type Broker, startNats } from './brokers.ts';
import { freePort } from './ports.ts';
import { until } from './until.ts';

/**
 * Resolves when who leads JetStream answers at this node of a cluster: before that nobody does who is asked there for a stream. A node need not log that it knows who that is: where its routes
 * were made twice during the election, and one closed, 2.9 does not.
 */
export async function isLed(url: string): Promise<void> {
  const nats = await connect({ servers: url });
  try {
    const manager = await nats.jetstreamManager({ checkAPI: false, timeout: 1000 });
    await until(
      `${url} answers for JetStream`,
      () => manager.getAccountInfo(),
      () => true,
    );
  } finally {
    await nats.close();
  }
}

/** Three nats-servers that form a cluster with JetStream, each of which can be killed and started again. */
export class NatsCluster implements AsyncDisposable {
  readonly nodes: readonly Broker[];

  private constructor(nodes: readonly Broker[]) {
    this.nodes = nodes;
  }

  /** Resolves when each of them answers for JetStream. */
  static async start(): Promise<NatsCluster> {
    const ports = [await freePort(), await freePort(), await freePort()];
    const routes = ports.map((port) => `nats://127.0.0.1:${port}`).join(', ');
    const nodes = await Promise.all(
      ports.map((port, index) =>
        startNats({ config: [`server_name: n${index}`, `cluster { name: busgate, listen: "127.0.0.1:${port}", routes: [${routes}], no_advertise: false }`] }),
      ),
    );
    const cluster = new NatsCluster(nodes);
    try {
      await Promise.all(nodes.map((node) => isLed(node.url)));
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** One URL for all of them. */
  get url(): string {
    return `nats://${this.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node[Symbol.asyncDispose]()));
  }
}

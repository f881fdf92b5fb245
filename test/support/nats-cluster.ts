import { type Broker, startNats } from './brokers.ts';
import { freePort } from './ports.ts';
import { until } from './until.ts';

/** What a node logs once it knows who leads JetStream: before that nobody answers who asks it for a stream. */
export const LED = /(Self is new JetStream cluster|JetStream cluster new) metadata leader/;

/** Waits for it: on a busy machine NATS 2.9 may hold several elections before one of them succeeds. */
export async function isLed(logged: () => Promise<unknown>): Promise<void> {
  await until('a node of NATS knows who leads JetStream', logged, () => true);
}

/** Three nats-servers that form a cluster with JetStream, each of which can be killed and started again. */
export class NatsCluster implements AsyncDisposable {
  readonly nodes: readonly Broker[];

  private constructor(nodes: readonly Broker[]) {
    this.nodes = nodes;
  }

  /** Resolves when each of them knows who leads JetStream. */
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
      await Promise.all(nodes.map((node) => isLed(() => node.logged(LED))));
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

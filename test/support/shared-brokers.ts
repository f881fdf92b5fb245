import { type Broker, startNats, startRedis } from './brokers.ts';

/** A broker for tests that leave it as they found it, under names of their own: it may be anybody's. */
export interface SharedBroker extends AsyncDisposable {
  readonly url: string;
}

interface Image {
  readonly name: string;
  readonly port: number;
  readonly command: string[];
  readonly ready: RegExp;
}

/** The Redis of `REDIS_URL`, else one in a container where Docker answers, else a process of our own. */
export function sharedRedis(): Promise<SharedBroker> {
  return shared('redis', process.env['REDIS_URL'], { name: 'redis:7-bookworm', port: 6379, command: [], ready: /Ready to accept connections/ }, startRedis);
}

/** The NATS of `NATS_URL`, which needs JetStream, else one in a container where Docker answers, else a process of our own. */
export function sharedNats(): Promise<SharedBroker> {
  const command = ['-js', '-sd', '/data'];
  return shared('nats', process.env['NATS_URL'], { name: 'nats:2-bookworm', port: 4222, command, ready: /Server is ready/ }, startNats);
}

async function shared(scheme: string, url: string | undefined, image: Image, startProcess: () => Promise<Broker>): Promise<SharedBroker> {
  if (url) return { url, [Symbol.asyncDispose]: () => Promise.resolve() };
  const container = await startContainer(scheme, image);
  if (container) return container;
  try {
    return await startProcess();
  } catch (cause) {
    throw new Error(`no ${scheme} for the tests: set ${scheme.toUpperCase()}_URL, or start Docker, or install ${scheme}-server`, { cause });
  }
}

/** Undefined where Docker does not answer, or cannot get the image. */
async function startContainer(scheme: string, { name, port, command, ready }: Image): Promise<SharedBroker | undefined> {
  const { GenericContainer, Wait, getContainerRuntimeClient } = await import('testcontainers');
  try {
    await getContainerRuntimeClient();
  } catch {
    return undefined;
  }
  try {
    const container = await new GenericContainer(name).withCommand(command).withExposedPorts(port).withWaitStrategy(Wait.forLogMessage(ready)).start();
    return {
      url: `${scheme}://${container.getHost()}:${container.getMappedPort(port)}`,
      async [Symbol.asyncDispose]() {
        await container.stop();
      },
    };
  } catch (error) {
    process.stderr.write(`no container of ${name}, a process instead: ${String(error)}\n`);
    return undefined;
  }
}

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { requireBinary } from './binaries.ts';
import { type Broker, startRedis } from './brokers.ts';
import { Child } from './child.ts';
import { freePort } from './ports.ts';

const run = promisify(execFile);
/** A busy machine is late with everything, and a sentinel that was held up itself does nothing for 30 s. */
const PATIENCE_MS = 120_000;
/** Milliseconds without an answer after which a server is dead to the others: for tests of a failover, and for all that must go on where a server is late. */
const DEAD_AFTER = { soon: 2000, never: 600_000 };

/** What `redis-cli` answers, without the last line end. */
export async function redisCli(port: number, ...args: string[]): Promise<string> {
  return (await run('redis-cli', ['-p', `${port}`, ...args])).stdout.trim();
}

/** A Redis Cluster of real servers, primaries first, each with one replica where `replicas` says so. `config` are further lines of each server's configuration. */
export class RedisCluster implements AsyncDisposable {
  readonly nodes: readonly Broker[];

  private constructor(nodes: readonly Broker[]) {
    this.nodes = nodes;
  }

  static async start({ primaries = 3, replicas = 0, config = [] as readonly string[] } = {}): Promise<RedisCluster> {
    const timeout = replicas > 0 ? DEAD_AFTER.soon : DEAD_AFTER.never;
    const own = ['cluster-enabled yes', 'cluster-config-file nodes.conf', `cluster-node-timeout ${timeout}`, 'cluster-require-full-coverage no'];
    const nodes = await Promise.all(Array.from({ length: primaries * (1 + replicas) }, () => startRedis({ config: [...own, ...config] })));
    const cluster = new RedisCluster(nodes);
    await run('redis-cli', ['--cluster', 'create', ...nodes.map((node) => `127.0.0.1:${node.port}`), '--cluster-replicas', `${replicas}`, '--cluster-yes']);
    for (const node of nodes) await until(() => isReady(node), 'a cluster whose state is ok, with replicas that follow');
    return cluster;
  }

  /** Names two nodes; the layer finds the others. */
  get url(): string {
    return `redis-cluster://${this.nodes
      .slice(0, 2)
      .map((node) => `127.0.0.1:${node.port}`)
      .join(',')}`;
  }

  /** The node that has the slot of a key. */
  async ownerOf(key: string): Promise<Broker> {
    const slot = Number(await redisCli(this.#any().port, 'CLUSTER', 'KEYSLOT', key));
    for (const line of (await redisCli(this.#any().port, 'CLUSTER', 'NODES')).split('\n')) {
      const [, address = '', flags = '', , , , , , ...ranges] = line.split(' ');
      if (!flags.includes('master') || flags.includes('fail')) continue;
      const has = ranges.some((range) => inRange(slot, range));
      const port = Number(/:(\d+)@/.exec(address)?.[1]);
      if (has) return this.nodes.find((node) => node.port === port) as Broker;
    }
    throw new Error(`no primary has slot ${slot}`);
  }

  /** The first half of a move: from then on what is not there any more is asked for at the other primary. */
  async beginMove(key: string, to: Broker): Promise<void> {
    const from = await this.ownerOf(key);
    const slot = await redisCli(from.port, 'CLUSTER', 'KEYSLOT', key);
    const [fromId, toId] = await Promise.all([from, to].map((node) => redisCli(node.port, 'CLUSTER', 'MYID')));
    await redisCli(to.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId as string);
    await redisCli(from.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId as string);
  }

  /** Moves the slot of a key, with its keys, to another primary, as `redis-cli --cluster reshard` does. */
  async move(key: string, to: Broker): Promise<void> {
    await this.beginMove(key, to);
    const from = await this.ownerOf(key);
    const slot = await redisCli(from.port, 'CLUSTER', 'KEYSLOT', key);
    const toId = await redisCli(to.port, 'CLUSTER', 'MYID');
    for (const each of (await redisCli(from.port, 'CLUSTER', 'GETKEYSINSLOT', slot, '1000')).split('\n').filter((line) => line !== '')) {
      await redisCli(from.port, 'MIGRATE', '127.0.0.1', `${to.port}`, each, '0', '5000');
    }
    for (const node of [to, from]) await redisCli(node.port, 'CLUSTER', 'SETSLOT', slot, 'NODE', toId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node[Symbol.asyncDispose]()));
  }

  #any(): Broker {
    return this.nodes[0] as Broker;
  }
}

/** A primary, a replica and three sentinels, all real. */
export class RedisSentinel implements AsyncDisposable {
  readonly servers: readonly Broker[];
  readonly url: string;
  readonly #sentinels: readonly Child[];
  readonly #ports: readonly number[];
  readonly #folder: string;

  private constructor(servers: readonly Broker[], sentinels: readonly Child[], ports: readonly number[], folder: string) {
    this.servers = servers;
    this.#sentinels = sentinels;
    this.#ports = ports;
    this.#folder = folder;
    this.url = `redis-sentinel://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/mymaster`;
  }

  /** With a `password`, all of them want it; redis-cli takes it from `REDISCLI_AUTH`. The replica takes over only where it `failsOver`. */
  static async start({ password, failsOver = false }: { password?: string; failsOver?: boolean } = {}): Promise<RedisSentinel> {
    const secret = password === undefined ? [] : [`requirepass ${password}`, `masterauth ${password}`];
    const primary = await startRedis({ config: ['repl-diskless-sync-delay 0', ...secret] });
    const replica = await startRedis({ config: [`replicaof 127.0.0.1 ${primary.port}`, ...secret] });
    await until(async () => (await redisCli(replica.port, 'INFO', 'replication')).includes('master_link_status:up'), 'a replica that follows');
    const folder = await mkdtemp(join(tmpdir(), 'busgate-sentinel-'));
    const binary = await requireBinary('redis-server');
    const ports: number[] = [];
    const sentinels: Child[] = [];
    for (let index = 0; index < 3; index += 1) {
      const port = await freePort();
      const config = join(folder, `${port}.conf`);
      const lines = [`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, `sentinel monitor mymaster 127.0.0.1 ${primary.port} 2`];
      const times = [`sentinel down-after-milliseconds mymaster ${failsOver ? DEAD_AFTER.soon : DEAD_AFTER.never}`, 'sentinel failover-timeout mymaster 5000'];
      const access = password === undefined ? [] : [`requirepass ${password}`, `sentinel auth-pass mymaster ${password}`];
      await writeFile(config, `${[...lines, ...times, ...access].join('\n')}\n`);
      const sentinel = new Child(binary, [config, '--sentinel']);
      await sentinel.lines.find((line) => line.includes('+monitor master mymaster'), 'a sentinel that watches');
      ports.push(port);
      sentinels.push(sentinel);
    }
    const all = new RedisSentinel([primary, replica], sentinels, ports, folder);
    for (const port of ports) await until(() => all.#isSettled(port), 'sentinels that know each other and the replica');
    return all;
  }

  /** The port of the primary, as the sentinels see it. */
  async primaryPort(): Promise<number> {
    const [, port] = (await redisCli(this.#ports[0] as number, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster')).split('\n');
    return Number(port);
  }

  async primary(): Promise<Broker> {
    const port = await this.primaryPort();
    return this.servers.find((server) => server.port === port) as Broker;
  }

  /** Resolves when the sentinels name another primary than that one. */
  async failedOver(from: Broker): Promise<void> {
    await until(async () => (await this.primaryPort()) !== from.port, 'a failover');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#sentinels, ...this.servers].map((each) => each[Symbol.asyncDispose]()));
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #isSettled(port: number): Promise<boolean> {
    const state = await redisCli(port, 'SENTINEL', 'MASTER', 'mymaster');
    return /num-other-sentinels\n2\b/.test(state) && /num-slaves\n1\b/.test(state);
  }
}

async function isReady({ port }: Broker): Promise<boolean> {
  const replication = await redisCli(port, 'INFO', 'replication');
  const follows = replication.includes('role:master') || replication.includes('master_link_status:up');
  return follows && (await redisCli(port, 'CLUSTER', 'INFO')).includes('cluster_state:ok');
}

function inRange(slot: number, range: string): boolean {
  const [from, to] = range.split('-').map(Number);
  return from !== undefined && slot >= from && slot <= (to ?? from);
}

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`after ${PATIENCE_MS} ms there is not: ${what}`);
    await delay(20);
  }
}

import type { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { withResolvers, LayerError, UnderWay } from '@busgate/layer/driver';
import { Command, Redis, type RedisOptions } from 'ioredis';
import { faultOf, layerError, replyOf } from './errors.ts';
import { everyLook } from './looks.ts';
import { type MessageHandler, readAhead } from './message-reader.ts';
import { addressOf, type Credentials, type Node, type Target } from './url.ts';

/** Stands for what tells one start of a server from the next: `run_id` of the one that a command is sent to, '' where it is not known. */
export const RUN_ID = Symbol('run_id');

export type Argument = string | number | Buffer | typeof RUN_ID;

/** From the first packet to a connection that answers: so many looks, 2.5 s. */
const OPEN_LOOK_MS = 500;
const OPEN_LOOKS = 5;
const OPEN_MS = OPEN_LOOK_MS * OPEN_LOOKS;

/** Everything that is fixed for one node's connections. */
export interface Access {
  readonly credentials: Credentials;
  readonly db: number;
  readonly tls: RedisOptions['tls'];
  /** `CLIENT SETNAME` */
  readonly name: string;
}

export function accessTo(target: Target, name: string): Access {
  return { credentials: target.credentials, db: target.db, tls: readTls(target), name };
}

/** One TCP connection to one Redis server. When it ends it has ended: nothing is kept, resent or reconnected by the client library. */
export class Connection {
  readonly node: Node;
  /** Resolves with the reason when the connection has ended, whoever ended it. */
  readonly ended: Promise<string>;
  /** The server's `run_id`, once somebody has asked for it: no connection outlives the process that it was made to. */
  runId: string | undefined;
  readonly #redis: Redis;
  readonly #underWay = new UnderWay();
  #corked = false;
  #alive = true;
  #reason: string | undefined;

  private constructor(redis: Redis, node: Node) {
    this.#redis = redis;
    this.node = node;
    const { promise, resolve } = withResolvers<string>();
    this.ended = promise;
    redis.on('error', (error: Error) => (this.#reason ??= error.message));
    redis.on('end', () => {
      this.#alive = false;
      resolve(this.#reason ?? 'Redis closed the connection');
    });
  }

  /**
   * Connects, authenticates, chooses the database and waits until the server answers commands.
   * @throws LayerError REFUSED (what the URL asks for: credentials, the database), LAYER_AWAY
   */
  static async open(node: Node, access: Access, signal?: AbortSignal): Promise<Connection> {
    const redis = new Redis(optionsOf(node, access));
    const connection = new Connection(redis, node);
    let looks = 0;
    const stopLooking = everyLook(OPEN_LOOK_MS, () => {
      looks += 1;
      if (looks === OPEN_LOOKS) connection.destroy(`no answer within ${OPEN_MS} ms`);
      return looks < OPEN_LOOKS;
    });
    const onAbort = (): void => connection.destroy('closed');
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await redis.connect();
      if (access.db !== 0) await connection.#select(access.db);
      await connection.run('ping');
      return connection;
    } catch (error) {
      connection.destroy('could not be opened');
      const cause = connection.#reason === undefined ? error : Object.assign(new Error(connection.#reason), { name: replyName(connection.#reason) });
      const known = layerError(error instanceof LayerError && error.code !== 'OUTCOME_UNKNOWN' ? error : cause, false);
      const fault = faultOf(known) ?? (looks === OPEN_LOOKS ? 'unresponsive' : 'unreachable');
      throw new LayerError(known.code, `${addressOf(node)}: ${known.message}`, { cause, fault });
    } finally {
      stopLooking();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Grows while the server sends anything. */
  get bytesRead(): number {
    return this.#redis.stream?.bytesRead ?? 0;
  }

  /** Whether commands wait for their answers. */
  get busy(): boolean {
    return !this.#underWay.isEmpty;
  }

  /**
   * Sends a command of our own, such as a proof that the server lives, also where it does not keep up with what others send; all of one turn of the event
   * loop leave in one write, in order.
   * @returns the reply, strings of it as Buffers
   * @throws LayerError LAYER_AWAY (nothing was sent), OUTCOME_UNKNOWN, REFUSED
   */
  run(name: string, ...args: Argument[]): Promise<unknown> {
    return this.#send(1, name, args);
  }

  /**
   * Sends a command in which so many of the layer's calls are, unless too much waits for the server's answers already.
   * @throws LayerError LAYER_AWAY (nothing was sent), OUTCOME_UNKNOWN, REFUSED
   */
  async runFor(calls: number, name: string, args: readonly Argument[]): Promise<unknown> {
    const why = this.#underWay.full;
    if (why !== undefined && this.#alive) throw new LayerError('LAYER_AWAY', `Redis does not keep up: ${why}; nothing was sent`, { fault: 'overloaded' });
    return this.#send(calls, name, args);
  }

  async #send(calls: number, name: string, args: readonly Argument[]): Promise<unknown> {
    this.#checkWritable();
    const command = new Command(
      name,
      args.map((argument) => (argument === RUN_ID ? (this.runId ?? '') : argument)),
    );
    this.#cork();
    const bytes = args.reduce((sum: number, argument) => sum + (isSized(argument) ? argument.length : 0), 0);
    this.#underWay.begin(bytes, calls);
    try {
      return await (this.#redis.sendCommand(command) as Promise<unknown>);
    } catch (error) {
      throw layerError(error, true);
    } finally {
      this.#underWay.end(bytes, calls);
    }
  }

  /**
   * Calls `handler` for each message until the connection is destroyed. To be called once, while nothing is on its way.
   * Answers whether messages are taken from the socket's bytes; where the client library reads the socket in a way that is not known here, it
   * reads the messages too, which costs ten times as much.
   */
  onMessages(handler: MessageHandler): boolean {
    const toChannel = (channel: Buffer, payload: Buffer): void => handler.message(channel.toString('latin1'), payload);
    this.#redis.on('messageBuffer', toChannel);
    this.#redis.on('smessageBuffer', toChannel);
    this.#redis.on('pmessageBuffer', (pattern: string, channel: Buffer, payload: Buffer) => {
      handler.patternMessage(pattern, channel.toString('latin1'), payload);
    });
    return readAhead(this.#redis.stream, {
      message: (channel, payload) => {
        if (this.#alive) handler.message(channel, payload);
      },
      patternMessage: (pattern, channel, payload) => {
        if (this.#alive) handler.patternMessage(pattern, channel, payload);
      },
    });
  }

  /** Calls `handler` when the server ended a sharded subscription by itself, since its slot has moved. */
  onMoved(handler: () => void): void {
    this.#redis.on('moved', handler);
  }

  /** Ends the connection at once; commands without an answer reject with OUTCOME_UNKNOWN. */
  destroy(reason: string): void {
    this.#reason ??= reason;
    this.#alive = false;
    this.#redis.removeAllListeners('messageBuffer');
    this.#redis.removeAllListeners('smessageBuffer');
    this.#redis.removeAllListeners('pmessageBuffer');
    this.#redis.removeAllListeners('moved');
    this.#redis.disconnect();
    this.#redis.stream?.destroy();
  }

  /** The client library ignores a refusal, and would go on in database 0, where another site may be. */
  async #select(db: number): Promise<void> {
    try {
      await this.run('select', db);
    } catch (error) {
      const reply = replyOf(error);
      if (reply === undefined) throw error;
      throw new LayerError('REFUSED', `Redis refused database ${db}, which the URL asks for: ${reply}`, { cause: error, fault: 'refused' });
    }
  }

  #checkWritable(): void {
    if (!this.#alive || this.#redis.status !== 'ready') throw new LayerError('LAYER_AWAY', `Redis cannot be reached: ${this.#reason ?? 'not connected'}`);
    // Between the server's end of a connection and its close nothing is sent any more.
    if (!this.#redis.stream.writable) throw new LayerError('LAYER_AWAY', 'Redis cannot be reached: it has ended the connection');
  }

  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#redis.stream.cork();
    setImmediate(() => {
      this.#corked = false;
      this.#redis.stream.uncork();
    });
  }
}

function isSized(argument: Argument): argument is string | Buffer {
  return typeof argument === 'string' || typeof argument === 'object';
}

/** A connection that the library neither makes anew nor keeps anything for. The database is chosen by {@link Connection.open}. */
function optionsOf(node: Node, access: Access) {
  return {
    ...(node.path === undefined ? { host: node.host, port: node.port } : { path: node.path }),
    ...access.credentials,
    ...(access.tls === undefined ? {} : { tls: { ...(isIP(node.host) === 0 ? { servername: node.host } : {}), ...access.tls } }),
    connectionName: access.name,
    disableClientInfo: true,
    lazyConnect: true,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    retryStrategy: null,
    // A process that was held up would give up before it has read the answer.
    connectTimeout: 0,
  };
}

/** An error that ended the connection came as a reply of the server where it begins with a code in capitals. */
function replyName(reason: string): string {
  return /^[A-Z]{3,} |^ERR /.test(reason) ? 'ReplyError' : 'Error';
}

function readTls({ tls }: Target): RedisOptions['tls'] {
  if (tls === undefined) return undefined;
  const { ca, cert, key, servername } = tls;
  return {
    ...(ca === undefined ? {} : { ca: readPem(ca, 'ca') }),
    ...(cert === undefined ? {} : { cert: readPem(cert, 'cert') }),
    ...(key === undefined ? {} : { key: readPem(key, 'key') }),
    ...(servername === undefined ? {} : { servername }),
  };
}

function readPem(path: string, name: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new LayerError('INVALID_URL', `Redis URL: parameter ${name} names a file that cannot be read: ${String((cause as Error).message)}`, { cause });
  }
}

/**
 * The one file that knows the library `nats`. A connection here lives once: it does not reconnect, holds nothing back and resends nothing; the rest of
 * the driver does that by its own rules.
 * @module
 */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { LayerError, type LayerFault, type TlsFiles } from '@busgate/layer/driver';
import {
  connect as natsConnect,
  credsAuthenticator,
  headers as natsHeaders,
  nkeyAuthenticator,
  type Authenticator,
  type ConnectionOptions,
  type Msg,
  type NatsConnection,
  type NatsError,
} from 'nats';
import { forbidden } from './errors.ts';
import { Heartbeat } from './heartbeat.ts';
import { knock } from './knock.ts';
import type { Credentials, Server, Target } from './url.ts';

/** A server that does not answer a connect by then is passed over. */
const CONNECT_TIMEOUT_MS = 4000;
/** The library's own pings, which judge a server before its answer is read, are put off for ever. */
const NEVER_MS = 2_147_483_647;

/** A message as it arrived. */
export interface Arrival {
  readonly subject: string;
  readonly reply: string;
  readonly payload: Uint8Array;
  /** 0 where it has none. */
  readonly status: number;
  header(name: string): string;
}

/** What one subscription gets. Nothing here may throw. */
export interface Receiver {
  message(arrival: Arrival): void;
  /** The server does not permit this subscription, or no longer: nothing more will come. */
  refused(error: LayerError): void;
}

/** A subscription as it stands. */
export interface Subscribed {
  /** The receiver is not called from now on. */
  end(): void;
  /** The server sends nothing more from when it hears of this; what it has sent by then still reaches the receiver, before this resolves. */
  drain(): Promise<void>;
}

export interface ServerFacts {
  /** Another one at each start of the server. */
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly maxPayload: number;
  readonly clustered: boolean;
  readonly jetStream: boolean;
  /** Whether what was acknowledged stays acknowledged when the server is killed: from 2.10 on. */
  readonly keepsAcknowledgements: boolean;
}

export interface Connection {
  readonly server: Server;
  readonly facts: ServerFacts;
  /** Resolves with the reason when the connection has ended, for whatever reason. */
  readonly ended: Promise<string>;
  /** What kind of fault ended it, where more is known than that it broke. */
  readonly fault: LayerFault | undefined;
  publish(subject: string, payload: Uint8Array, reply?: string, headers?: Readonly<Record<string, string>>): void;
  subscribe(subject: string, receiver: Receiver): Subscribed;
  /** Sends what was written so far in one write. Resolves when the server has processed all of it; never where the connection ends before. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface ConnectionEvents {
  /** The server does not permit something that was published on this subject. Told soon after, but before the next turn of the event loop. */
  publishRefused(subject: string): void;
  /** The server said that something is wrong, in its own words. */
  complaint(text: string): void;
  /** Other servers of the cluster, as the server tells them. */
  peers(servers: readonly string[]): void;
}

/**
 * Connects to one server.
 * @throws LayerError REFUSED where it does not take the credentials; any other Error where it cannot be reached
 */
export async function connect(server: Server, target: Target, name: string, events: ConnectionEvents): Promise<Connection> {
  const greeting = await knock(server, CONNECT_TIMEOUT_MS);
  events.peers(greeting.peers);
  const options: ConnectionOptions = {
    servers: server.host.includes(':') ? `[${server.host}]:${server.port}` : `${server.host}:${server.port}`,
    name,
    reconnect: false,
    maxReconnectAttempts: -1,
    timeout: CONNECT_TIMEOUT_MS,
    pingInterval: NEVER_MS,
    ignoreClusterUpdates: true,
    noAsyncTraces: true,
    resolve: false,
    ...(await authentication(target.credentials)),
    ...(greeting.tlsRequired || target.tls !== undefined ? { tls: tlsOptions(server, target.tls ?? {}) } : {}),
  };
  try {
    return new NatsOnce(await natsConnect(options), server, events);
  } catch (error) {
    throw asRefusal(error as NatsError) ?? error;
  }
}

async function authentication({ user, password, token, nkey, creds }: Credentials): Promise<Partial<ConnectionOptions>> {
  if (user !== undefined) return { user, pass: password ?? '' };
  if (token !== undefined) return { token };
  if (nkey !== undefined) return { authenticator: await fromFile(nkey, 'NKey seed', (secret) => nkeyAuthenticator(Buffer.from(secret.toString().trim()))) };
  if (creds !== undefined) return { authenticator: await fromFile(creds, 'credentials file', credsAuthenticator) };
  return {};
}

async function fromFile(path: string, kind: string, make: (secret: Buffer) => Authenticator): Promise<Authenticator> {
  try {
    const authenticator = make(await readFile(path));
    authenticator('a nonce to try it with');
    return authenticator;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new LayerError('REFUSED', `the file ${path} is no ${kind} that can be read (${code ?? String(cause)})`, { cause, fault: 'refused' });
  }
}

/** The library verifies the certificate against no name at all unless it is told one. */
function tlsOptions({ host }: Server, { ca, cert, key, servername }: TlsFiles): NonNullable<ConnectionOptions['tls']> {
  const expected = servername === undefined && isIP(host) !== 0 ? { host } : { servername: servername ?? host };
  return {
    ...expected,
    ...(ca === undefined ? {} : { caFile: ca }),
    ...(cert === undefined ? {} : { certFile: cert }),
    ...(key === undefined ? {} : { keyFile: key }),
  };
}

const REFUSALS: readonly string[] = [
  'AUTHORIZATION_VIOLATION',
  'AUTHENTICATION_EXPIRED',
  'ACCOUNT_EXPIRED',
  'BAD_CREDS',
  'BAD_AUTHENTICATION',
  'NO_CREDENTIALS',
];

function asRefusal(error: NatsError): LayerError | undefined {
  if (error.code === undefined || !REFUSALS.includes(error.code)) return undefined;
  return new LayerError('REFUSED', `NATS refused the credentials: ${error.message}`, { cause: error, fault: 'refused' });
}

class NatsOnce implements Connection {
  readonly server: Server;
  readonly facts: ServerFacts;
  readonly ended: Promise<string>;
  readonly #nats: NatsConnection;
  #complaint = '';
  #fault: LayerFault | undefined;
  #isSilent = false;

  constructor(nats: NatsConnection, server: Server, events: ConnectionEvents) {
    this.#nats = nats;
    this.server = server;
    const {
      server_id = '',
      server_name = '',
      version,
      max_payload,
      jetstream,
      cluster,
    } = (nats.info ?? {}) as Partial<NonNullable<NatsConnection['info']>> & {
      server_name?: string;
    };
    this.facts = {
      id: server_id,
      name: server_name,
      version: version ?? '',
      maxPayload: max_payload ?? 1_048_576,
      clustered: cluster !== undefined && cluster !== '',
      jetStream: jetstream === true,
      keepsAcknowledgements: !/^2\.\d\./.test(version ?? ''),
    };
    const heartbeat = new Heartbeat({ ping: () => nats.flush(), read: () => nats.stats().inMsgs, dead: () => this.#onSilence() });
    this.ended = nats.closed().then((error) => {
      heartbeat.end();
      return this.#whyEnded(error);
    });
    void this.#watch(events);
  }

  get fault(): LayerFault | undefined {
    return this.#fault;
  }

  publish(subject: string, payload: Uint8Array, reply?: string, headers?: Readonly<Record<string, string>>): void {
    if (headers === undefined) {
      this.#nats.publish(subject, payload, reply === undefined ? undefined : { reply });
      return;
    }
    const block = natsHeaders();
    for (const [name, value] of Object.entries(headers)) block.set(name, value);
    this.#nats.publish(subject, payload, reply === undefined ? { headers: block } : { reply, headers: block });
  }

  subscribe(subject: string, receiver: Receiver): Subscribed {
    const subscription = this.#nats.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) receiver.message(new NatsArrival(message));
        else receiver.refused(forbidden('subscribe', subject));
      },
    });
    return {
      end: () => {
        if (!this.#nats.isClosed()) subscription.unsubscribe();
      },
      drain: () => subscription.drain().catch(() => undefined),
    };
  }

  ping(): Promise<void> {
    return this.#nats.flush();
  }

  async close(): Promise<void> {
    await this.#nats.close();
  }

  #whyEnded(error: unknown): string {
    if (error instanceof Error) {
      this.#fault = asRefusal(error as NatsError)?.fault;
      return error.message;
    }
    if (this.#complaint !== '') return this.#complaint;
    if (!this.#isSilent) return 'the connection was closed';
    this.#fault = 'unresponsive';
    return 'it does not answer';
  }

  #onSilence(): void {
    this.#isSilent = true;
    void this.#nats.close();
  }

  async #watch(events: ConnectionEvents): Promise<void> {
    for await (const status of this.#nats.status()) {
      if (status.type !== 'error') {
        const peers = (this.#nats.info as { connect_urls?: string[] } | undefined)?.connect_urls;
        if (status.type === 'ldm' || peers === undefined) continue;
        events.peers(peers);
        continue;
      }
      const { permissionContext } = status;
      if (permissionContext?.operation === 'publish') events.publishRefused(permissionContext.subject);
      this.#complaint = typeof status.data === 'object' ? JSON.stringify(status.data) : `${status.data}`;
      if (permissionContext === undefined) events.complaint(this.#complaint);
    }
  }
}

class NatsArrival implements Arrival {
  readonly payload: Uint8Array;
  readonly #message: Msg;

  constructor(message: Msg) {
    this.#message = message;
    this.payload = message.data;
  }

  get subject(): string {
    return this.#message.subject;
  }

  get reply(): string {
    return this.#message.reply ?? '';
  }

  get status(): number {
    return this.#message.headers?.code ?? 0;
  }

  header(name: string): string {
    return this.#message.headers?.get(name) ?? '';
  }
}

import { createHash } from 'node:crypto';
import { type ChannelLayer, isLayerError, type RoomEvent } from '@busgate/layer';
import type { End } from '../errors.ts';
import type { Identity } from '../identity.ts';
import type { Log } from '../log.ts';
import { type Ban, BANNED_KINDS, type BannedKind, type Bans, isBanned } from './bans.ts';
import { type JsonObject, readObject } from './json.ts';

/** Where gateways tell each other of bans as they are made, and where the layer keeps them. */
const ROOM = '_auth';
const SET = 'bans';

type RevocationTarget =
  | { readonly user: string; readonly token?: never; readonly session?: never }
  | { readonly token: string; readonly user?: never; readonly session?: never }
  | { readonly session: string; readonly user?: never; readonly token?: never };

/** Whom to serve no longer: a user, the bearer of a token by its `jti`, or a session by its id. */
export type Revocation = RevocationTarget & {
  /** One that takes the place of another of the same may end it sooner. */
  readonly until: Date;
  /** Of a user: also tokens that are issued after this. */
  readonly all?: boolean;
};

export interface Disconnection extends Partial<Pick<End, 'reason'>>, Pick<End, 'code'> {
  readonly user: string;
}

/** A session, as far as it can be ended from here. */
export interface Client {
  readonly identity: Identity;
  close(how: 'expired' | End): void;
}

export interface RevocationSources {
  readonly layer: Pick<ChannelLayer, 'subscribe' | 'publish' | 'records' | 'status'>;
  readonly bans: Bans;
  /** The sessions of this process. */
  readonly clients: { all(): Iterable<Client>; find(id: string): Client | undefined };
  readonly log: Pick<Log, 'warn' | 'error'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Bans, which hold in every gateway of the fleet: also in those that start later, or were away when they were made. */
export class Revocations {
  readonly #sources: RevocationSources;
  #subscription: Promise<{ close(): Promise<void> }> | undefined;
  #reading: Promise<void> | undefined;
  /** What was kept before the last reading began may be missing here. */
  #isStale = true;
  #isKnown = false;

  constructor(sources: RevocationSources) {
    this.#sources = sources;
  }

  /** Whether all bans have been read once. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** To be called often: reads what there is as soon as the layer is reached, and again after it was away. */
  look(): void {
    if (!this.#isStale || this.#reading !== undefined || this.#sources.layer.status.state !== 'connected') return;
    this.#reading = this.#read().finally(() => {
      this.#reading = undefined;
    });
  }

  /**
   * Sessions end with 4401 within a second, and who was banned is not let in until the time has come; of a user only with what was issued after this, unless `all` is said.
   * @throws LayerError UNSUPPORTED where the layer keeps no records; INVALID_OPTION for a time that has passed
   */
  async revoke({ until, all = false, ...named }: Revocation): Promise<void> {
    const { layer, now } = this.#sources;
    const at = now();
    const ban: Ban = { ...nameOf(named), at, until: until.getTime(), all };
    await this.#keep(ban);
    this.#takeNew(ban);
    await layer.publish(ROOM, JSON.stringify({ ...ban, type: 'ban' }));
  }

  /** Closes all sessions of a user, who may come back. */
  async disconnect({ user, code, reason = '' }: Disconnection): Promise<void> {
    await this.#sources.layer.publish(ROOM, JSON.stringify({ type: 'disconnect', user, code, reason }));
  }

  async close(): Promise<void> {
    this.#isStale = false;
    await this.#subscription?.then((subscription) => subscription.close()).catch(() => undefined);
  }

  /** Listens first, so that nothing is made between. */
  async #read(): Promise<void> {
    const { layer, log } = this.#sources;
    this.#isStale = false;
    try {
      this.#subscription ??= layer.subscribe(ROOM, (event) => this.#onEvent(event));
      await this.#subscription;
      const kept = (await layer.records.all(SET)).flatMap(({ message }) => banOf(message) ?? []);
      this.#take(kept);
      this.#isKnown = true;
      await this.#keepAgain(kept);
    } catch (error) {
      this.#failed(error, log);
    }
  }

  #failed(error: unknown, log: Pick<Log, 'warn'>): void {
    if (isLayerError(error, 'UNSUPPORTED')) {
      this.#isKnown = true;
      return log.warn('nobody can be revoked: this layer keeps no records', { reason: error.message });
    }
    this.#isStale = true;
    void this.#subscription?.catch(() => {
      this.#subscription = undefined;
    });
    log.warn('who was revoked could not be read yet', { error: String(error) });
  }

  /** What the broker has lost. */
  async #keepAgain(kept: readonly Ban[]): Promise<void> {
    const there = new Set(kept.map(keyOf));
    await Promise.all([...this.#sources.bans.all()].filter((ban) => !there.has(keyOf(ban))).map((ban) => this.#keep(ban)));
  }

  async #keep(ban: Ban): Promise<void> {
    const { of, name, at, until, all } = ban;
    await this.#sources.layer.records.keep(SET, keyOf(ban), { of, name, at, until, all }, new Date(until));
  }

  #onEvent(event: RoomEvent): void {
    if (event.gap === true) {
      this.#isStale = true;
      return this.look();
    }
    const said = readObject(event.payload);
    const ban = said?.['type'] === 'ban' ? banOf(said) : undefined;
    if (ban !== undefined) this.#takeNew(ban);
    else if (said?.['type'] === 'disconnect') this.#disconnect(said);
  }

  /** Those that were kept hold from now on. */
  #take(kept: readonly Ban[]): void {
    const { bans, clients } = this.#sources;
    for (const ban of kept) {
      bans.add(ban);
      if (ban.of === 'session') clients.find(ban.name)?.close('expired');
    }
    if (!kept.some(({ of }) => of !== 'session')) return;
    for (const client of clients.all()) if (bans.has(client.identity)) client.close('expired');
  }

  /** It ends what there is, also where its time was over before the broker had it. */
  #takeNew(ban: Ban): void {
    const { bans, clients } = this.#sources;
    bans.add(ban);
    if (ban.of === 'session') return clients.find(ban.name)?.close('expired');
    for (const client of clients.all()) if (isBanned(client.identity, ban)) client.close('expired');
  }

  #disconnect({ user, code, reason }: JsonObject): void {
    if (typeof user !== 'string' || typeof code !== 'number' || typeof reason !== 'string') return;
    for (const client of this.#sources.clients.all()) if (client.identity.user === user) client.close({ code, reason });
  }
}

function nameOf({ user, token, session }: RevocationTarget): { of: BannedKind; name: string } {
  if (user !== undefined) return { of: 'user', name: user };
  return token === undefined ? { of: 'session', name: session ?? '' } : { of: 'token', name: token };
}

/** A name of the layer's for any name at all. */
function keyOf({ of, name }: Ban): string {
  return `${of}.${createHash('sha256').update(name).digest('hex')}`;
}

/** Undefined for what another version may have written. */
function banOf(said: JsonObject): Ban | undefined {
  const { of, name, at, until, all } = said;
  if (!BANNED_KINDS.some((kind) => kind === of) || typeof name !== 'string' || typeof at !== 'number' || typeof until !== 'number') return undefined;
  return { of: of as BannedKind, name, at, until, all: all === true };
}

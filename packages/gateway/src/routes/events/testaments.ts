import type { ChannelLayer, Lease, Message } from '@busgate/layer';
import type { Log } from '../../log.ts';
import { DISCONNECT_LIFETIME_MS } from './event.ts';

/** A session, as far as what is held for it goes. */
export interface Heir {
  /** This process was taken for dead: others have spoken for the session. */
  disown(): void;
}

/** What is queued for each session should this process die: one lease of the layer's for all of them, and another one after it was lost. */
export class Testaments {
  readonly #layer: Pick<ChannelLayer, 'lease'>;
  readonly #log: Log;
  readonly #heirs = new Map<string, Heir>();
  #lease: Promise<Lease> | undefined;
  #isClosed = false;
  /** Leases that were lost. */
  lost = 0;

  constructor(layer: Pick<ChannelLayer, 'lease'>, log: Log) {
    this.#layer = layer;
    this.#log = log;
  }

  /** To be called at regular times, also while there is no session: who holds a lease speaks for other gateways that die. */
  look(): void {
    // While the broker is away there is none, and the next look asks again.
    if (this.#lease === undefined && !this.#isClosed) this.#current().catch(() => undefined);
  }

  /** Writes what is queued for this session, or writes it anew. Rejects as the layer does. */
  async hold(session: string, heir: Heir, channel: string, message: Message): Promise<void> {
    this.#heirs.set(session, heir);
    const lease = await this.#current();
    if (this.#heirs.get(session) === heir) await lease.hold(session, { channel, message, expiryMs: DISCONNECT_LIFETIME_MS });
  }

  /** Queues this instead, in that channel where it is not the one that was said before, or nothing. False where others have spoken for the session. */
  async settle(session: string, message: Message | undefined, channel: string | undefined): Promise<boolean> {
    this.#heirs.delete(session);
    if (this.#isClosed) return false;
    const lease = await this.#current();
    return lease.settle(session, message, channel === undefined ? {} : { channel });
  }

  /** Says what is held for all sessions that are left. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#heirs.clear();
    const lease = this.#lease;
    this.#lease = undefined;
    await (await lease)?.close();
  }

  #current(): Promise<Lease> {
    if (this.#lease === undefined) {
      const granted = this.#layer.lease();
      this.#lease = granted;
      granted.then(
        (lease) => lease.lost.addEventListener('abort', () => this.#onLost(granted), { once: true }),
        () => {
          if (this.#lease === granted) this.#lease = undefined;
        },
      );
    }
    return this.#lease;
  }

  #onLost(lease: Promise<Lease>): void {
    if (this.#lease === lease) this.#lease = undefined;
    this.lost += 1;
    const heirs = [...this.#heirs.values()];
    this.#heirs.clear();
    this.#log.error('this process was taken for dead, since it stood still: its event sessions end', { sessions: heirs.length });
    for (const heir of heirs) heir.disown();
  }
}

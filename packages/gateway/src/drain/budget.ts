import { Buffer } from 'node:buffer';
import type { ChannelLayer, RoomEvent, Subscription } from '@busgate/layer';
import type { DrainBudget } from './draining.ts';

/** The room in which gateways that drain meet. */
const DRAINING = '_draining';
/** One that drains says so this often, in milliseconds, */
const BEAT_MS = 4000;
/** and one that has not been heard for so long gives its share back. */
const SILENCE_MS = 15_000;

type DrainNote = { readonly from: string; readonly draining: boolean; readonly answer?: boolean };

export interface FleetBudgetOptions {
  readonly layer: Pick<ChannelLayer, 'process' | 'publish' | 'subscribe' | 'status'>;
  /** `drain.fleet_rate`: closes a second, of all gateways together. */
  readonly rate: number;
  /** Milliseconds, never going back. */
  readonly now: () => number;
}

/**
 * The closes of a fleet, shared by the gateways of one layer that drain at the same time: each has the same part. They tell each other in a room of their own, which only
 * those hold that drain. While the broker is away each keeps the share that it had.
 */
export class FleetBudget implements DrainBudget {
  readonly #layer: FleetBudgetOptions['layer'];
  readonly #rate: number;
  readonly #now: () => number;
  /** Others that drain, and when each was last heard. */
  readonly #others = new Map<string, number>();
  #share: number;
  #saidAt = -Infinity;
  #joining: Promise<void> | undefined;
  #subscription: Subscription | undefined;
  #isOver = false;

  constructor({ layer, rate, now }: FleetBudgetOptions) {
    this.#layer = layer;
    this.#rate = rate;
    this.#now = now;
    this.#share = rate;
  }

  /** None where no rate is set. */
  static of(rate: number | undefined, layer: FleetBudgetOptions['layer']): FleetBudget | undefined {
    return rate === undefined ? undefined : new FleetBudget({ layer, rate, now: () => performance.now() });
  }

  begin(): void {
    this.#announce();
  }

  share(): number {
    if (this.#layer.status.state !== 'connected') return this.#share;
    const now = this.#now();
    this.#announce();
    for (const [gateway, heardAt] of this.#others) if (now - heardAt > SILENCE_MS) this.#others.delete(gateway);
    this.#share = this.#rate / (this.#others.size + 1);
    return this.#share;
  }

  end(): void {
    this.#isOver = true;
    void this.#leave();
  }

  async #leave(): Promise<void> {
    await this.#joining;
    if (this.#subscription === undefined) return;
    if (this.#layer.status.state === 'connected') await this.#say({ draining: false });
    await Promise.allSettled([this.#subscription.close()]);
  }

  /** Joins the others once the layer is there, and says from time to time that this one still drains. */
  #announce(): void {
    if (this.#isOver || this.#layer.status.state !== 'connected') return;
    if (this.#joining === undefined) {
      this.#joining = this.#join().catch(() => {
        this.#joining = undefined;
      });
    } else if (this.#subscription !== undefined && this.#now() - this.#saidAt >= BEAT_MS) void this.#say({ draining: true });
  }

  async #join(): Promise<void> {
    this.#subscription = await this.#layer.subscribe(DRAINING, (event) => this.#hear(event));
    await this.#say({ draining: true, answer: true });
  }

  /** What the layer does not take just now is said again with the next beat. */
  async #say(note: Omit<DrainNote, 'from'>): Promise<void> {
    this.#saidAt = this.#now();
    await this.#layer.publish(DRAINING, JSON.stringify({ from: this.#layer.process, ...note })).catch(() => undefined);
  }

  #hear(event: RoomEvent): void {
    if (event.gap === true) return this.#askAgain();
    const note = readNote(event.payload);
    if (note === undefined || note.from === this.#layer.process) return;
    if (!note.draining) this.#others.delete(note.from);
    else this.#others.set(note.from, this.#now());
    if (note.answer === true && !this.#isOver) void this.#say({ draining: true });
  }

  /** The broker is back: those that drained when it went have as long as ever to be heard. */
  #askAgain(): void {
    for (const gateway of this.#others.keys()) this.#others.set(gateway, this.#now());
    if (!this.#isOver) void this.#say({ draining: true, answer: true });
  }
}

/** Undefined for what is none: another version's, or nobody's. */
function readNote(payload: Uint8Array): DrainNote | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString());
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { from, draining } = value as Record<string, unknown>;
  return typeof from === 'string' && typeof draining === 'boolean' ? (value as DrainNote) : undefined;
}

import type { TransportName } from '../transports/transport.ts';

/** A look that comes so much later than it was due, in milliseconds, tells that the program stood still: what has come meanwhile is not read yet. */
const LATE_MS = 1000;

export interface HeartbeatOptions {
  /** Silence after which a link is asked whether it lives, in milliseconds. */
  readonly every: number;
  /** Silence after which it is dead, in milliseconds. */
  readonly timeout: number;
}

/** What the core knows of a link, and how it tells a silent one from a dead one. */
export class LinkState {
  readonly id: number;
  readonly transport: TransportName;
  /** When it must be open, or have its token; then when it is to be looked at. */
  wakeAt: number;
  /** Since when it is open; 0 until then. */
  openedAt = 0;
  readonly #heartbeat: HeartbeatOptions;
  /** How often it was asked since it was heard. */
  #asked = 0;

  constructor(id: number, transport: TransportName, heartbeat: HeartbeatOptions, openBy: number) {
    this.id = id;
    this.transport = transport;
    this.#heartbeat = heartbeat;
    this.wakeAt = openBy;
  }

  heard(now: number): void {
    if (this.openedAt) this.wakeAt = now + this.#heartbeat.every;
    this.#asked = 0;
  }

  /** Whether it is dead, when it is time to look: else it is to be asked. A program that has just woken up gives it a second chance, once. */
  isDead(now: number): boolean {
    return this.#asked > (now - this.wakeAt > LATE_MS ? 1 : 0);
  }

  /** It is being asked; a question that is open keeps its time. */
  ask(now: number): void {
    if (!this.#asked || now >= this.wakeAt) this.wakeAt = now + this.#heartbeat.timeout - this.#heartbeat.every;
    this.#asked += 1;
  }
}

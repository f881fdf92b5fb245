import type { LayerFault } from '../faults.ts';

/** A server as a connection met it. */
export interface Met {
  /** `host:port` */
  readonly address: string;
  /** What tells one start of a server from the next, where that may be known. */
  readonly id: string | undefined;
}

/**
 * Tells one fault for each time that a driver's server is lost: where only a connection broke, what is found in its place says whether the server has
 * gone (`connection_lost`) or lives and cut this process off (`cut_off`).
 */
export class Losses {
  readonly #fault: (kind: LayerFault, reason: string) => void;
  #met: Met | undefined;
  /** A connection broke, and what that was is not known yet. */
  #broken: string | undefined;

  constructor(fault: (kind: LayerFault, reason: string) => void) {
    this.#fault = fault;
  }

  /** The server was lost, or was tried in vain; without `kind` all that is known is that a connection broke. */
  lost(reason: string, kind?: LayerFault): void {
    this.#settle('connection_lost');
    if (kind === undefined) this.#broken = reason;
    else this.#fault(kind, reason);
  }

  /**
   * A server answers: the same object as before where a connection to it has lived on.
   * @returns whether it is certainly another one than before at the same address
   */
  found(now: Met): boolean {
    const before = this.#met;
    this.#met = now;
    const same = now === before || (now.id !== undefined && now.id === before?.id);
    this.#settle(same ? 'cut_off' : 'connection_lost');
    if (same || before === undefined) return false;
    if (now.address !== before.address) this.#fault('moved', `${now.address} has taken over from ${before.address}`);
    return now.address === before.address && now.id !== undefined && before.id !== undefined;
  }

  #settle(fault: 'cut_off' | 'connection_lost'): void {
    if (this.#broken !== undefined) this.#fault(fault, this.#broken);
    this.#broken = undefined;
  }
}

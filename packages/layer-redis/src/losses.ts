import type { DriverEvents, LayerError } from '@busgate/layer/driver';
import { faultOf } from './errors.ts';
import { addressOf } from './topology.ts';
import type { Node } from './url.ts';

/** A server as one connection for commands met it. */
export interface Met {
  readonly node: Node;
  /** Its `run_id`, where these credentials may see it. */
  readonly id: string | undefined;
}

/** Tells one fault for each time that a server is lost: where only a connection broke, what is found in its place says which. */
export class Losses {
  readonly #fault: DriverEvents['fault'];
  #met: Met | undefined;
  /** A connection broke, and what that was is not known yet. */
  #broken: string | undefined;

  constructor(fault: DriverEvents['fault']) {
    this.#fault = fault;
  }

  /** The server was lost, or was tried in vain. */
  lost(error: LayerError): void {
    this.#settle('connection_lost');
    const fault = faultOf(error);
    if (fault === undefined) this.#broken = error.message;
    else this.#fault(fault, error.message);
  }

  /** A server was proved; the same object where its connection for commands has lived on. */
  found(now: Met): void {
    const before = this.#met;
    this.#met = now;
    const same = now === before || (now.id !== undefined && now.id === before?.id);
    this.#settle(same ? 'cut_off' : 'connection_lost');
    if (!same && before !== undefined) this.#compare(before, now);
  }

  #compare(before: Met, now: Met): void {
    const [from, to] = [addressOf(before.node), addressOf(now.node)];
    if (from !== to) this.#fault('moved', `${to} has taken over from ${from}`);
    else if (before.id !== undefined && now.id !== undefined) this.#fault('data_lost', `${to} is another one than before: its run_id has changed`);
  }

  #settle(fault: 'cut_off' | 'connection_lost'): void {
    if (this.#broken !== undefined) this.#fault(fault, this.#broken);
    this.#broken = undefined;
  }
}

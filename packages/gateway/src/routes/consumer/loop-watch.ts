/** A handler that keeps the event loop for so long holds up every other session, and is told, in milliseconds. */
const HOLDUP_MS = 100;

/** How long the handlers of one route had the event loop. */
export interface LoopShare {
  /** In all, in milliseconds. */
  loopMs: number;
  /** How often one had it for 100 ms and more at a time. */
  holdups: number;
  /** Told each such time. */
  onHoldup(ms: number): void;
}

/**
 * Finds out which route's handlers keep the event loop, by a look at the clock where handlers begin and where they say something. What has passed since the last
 * look is of the route that speaks; at the end of what one event set off, of the route that was looked at last. What a handler does after it waited for something else
 * than Busgate is not seen before it speaks.
 */
export class LoopWatch {
  readonly #now: () => number;
  #route: LoopShare | undefined;
  #since = 0;
  /** Of what the route has had without a break: others may have come between two looks, but not between looks of its own. */
  #heldMs = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** An event is given to a handler of this route: what was before is not its. */
  begins(route: LoopShare): void {
    const now = this.#now();
    if (this.#route === undefined) queueMicrotask(this.#afterwards);
    else this.#count(this.#route, now);
    if (this.#route !== route) this.#heldMs = 0;
    this.#route = route;
    this.#since = now;
  }

  /** A handler of this route says something: it ran until now. */
  speaks(route: LoopShare): void {
    if (this.#route === undefined) return this.begins(route);
    if (this.#route !== route) this.#heldMs = 0;
    this.#route = route;
    const now = this.#now();
    this.#count(route, now);
    this.#since = now;
  }

  /** After all that is ready to run: microtasks come before the next tick. */
  readonly #afterwards = (): void => process.nextTick(this.#end);

  readonly #end = (): void => {
    const route = this.#route;
    if (route === undefined) return;
    this.#count(route, this.#now());
    this.#route = undefined;
    this.#heldMs = 0;
  };

  #count(route: LoopShare, now: number): void {
    const ms = now - this.#since;
    route.loopMs += ms;
    const before = this.#heldMs;
    this.#heldMs += ms;
    if (before >= HOLDUP_MS || this.#heldMs < HOLDUP_MS) return;
    route.holdups += 1;
    route.onHoldup(this.#heldMs);
  }
}

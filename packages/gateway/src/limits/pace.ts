import { Bucket, type Rate } from './bucket.ts';

/** How fast the frames of one client are read; undefined: as fast as they come. */
export interface ReadRates {
  /** Frames of messages. */
  readonly frames: Rate | undefined;
  /** Bytes, those of frame headers included. */
  readonly bytes: Rate | undefined;
  /** Pings, and pongs that answer nothing. */
  readonly control: Rate | undefined;
}

/** How far one client is ahead of the rates at which it is read. What was read is counted, also where it was too much: nothing is read then until that is made up for. */
export class Pace {
  readonly #rates: ReadRates;
  readonly #now: () => number;
  readonly #frames = new Bucket();
  readonly #bytes = new Bucket();
  readonly #control = new Bucket();
  /** When the next frame may be looked at, and when its control frames would let it be. */
  #readAt = -Infinity;
  #controlAt = -Infinity;

  /** `now`: milliseconds, never going back. */
  constructor(rates: ReadRates, now: () => number) {
    this.#rates = rates;
    this.#now = now;
  }

  /** For a wire that has no control frames; undefined where nothing is counted. */
  static ofMessages(rates: ReadRates, now: () => number): Pace | undefined {
    return rates.frames === undefined && rates.bytes === undefined ? undefined : new Pace(rates, now);
  }

  /** So many frames of a message were read. */
  frames(count: number): void {
    const { frames } = this.#rates;
    if (frames !== undefined) this.#spend(this.#frames, frames, count);
  }

  /** A control frame was read. */
  control(): void {
    const { control } = this.#rates;
    if (control === undefined) return;
    this.#spend(this.#control, control, 1);
    const now = this.#now();
    this.#controlAt = now + this.#control.wait(control, now);
  }

  /** So many bytes have come, and may be looked at once there is one for those before them. */
  bytes(count: number): void {
    const { bytes } = this.#rates;
    if (bytes === undefined) return;
    const now = this.#now();
    this.#readAt = Math.max(this.#readAt, now + this.#bytes.wait(bytes, now));
    this.#bytes.spend(bytes, now, count);
  }

  /** Takes what came together, so many bytes in so many frames, or nothing of it: false. */
  takes(bytes: number, frames: number): boolean {
    if (this.wait > 0) return false;
    this.bytes(bytes);
    this.frames(frames);
    return true;
  }

  /** Whether it is its control frames for which the client is not read. */
  get isFlooded(): boolean {
    return this.#controlAt > this.#now();
  }

  /** Milliseconds until the next frame may be looked at; 0: now. */
  get wait(): number {
    return Math.max(0, this.#readAt - this.#now());
  }

  #spend(bucket: Bucket, rate: Rate, count: number): void {
    const now = this.#now();
    bucket.spend(rate, now, count);
    this.#readAt = Math.max(this.#readAt, now + bucket.wait(rate, now));
  }
}

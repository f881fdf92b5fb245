const MIB = 1024 * 1024;
/** What memory that is resident may have grown by since all was done for the first time. */
const GROWTH = 1.05;

/** Where findings are told. */
export interface Told {
  log(line: string): void;
  error(line: string): void;
}

/** What is found while a layer is soaked. All of it is told, and each thing once. */
export class Findings {
  readonly #layer: string;
  readonly #told: Told;
  readonly #resident: number[] = [];
  #faults = 0;

  constructor(layer: string, told: Told) {
    this.#layer = layer;
    this.#told = told;
  }

  /** A turn is over: what was wrong with it, and the bytes that are resident now. */
  turn(name: string, faults: readonly string[], resident: number): void {
    this.#resident.push(resident);
    this.#told.log(`${this.#layer}: ${name}: ${mib(resident)} MiB resident`);
    for (const fault of faults) this.#fault(`${name}: ${fault}`);
  }

  /** All turns are over. Answers how many faults there were. */
  end(): number {
    const [before = 0] = this.#resident;
    const last = this.#resident.at(-1) ?? 0;
    if (last > before * GROWTH) this.#fault(`${mib(before)} MiB resident have become ${mib(last)}`);
    return this.#faults;
  }

  #fault(what: string): void {
    this.#faults += 1;
    this.#told.error(`${this.#layer}: ${what}`);
  }
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}

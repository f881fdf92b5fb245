import { expect } from 'vitest';
import { RawClient, upgrade } from '../../packages/gateway/test/support/raw.ts';
import { Client } from '../e2e/clients.ts';
import { INSPECTED, Inspector } from '../support/inspector.ts';
import { metricsOf, sumOf } from '../support/metrics.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';

/** Whoever comes, and whatever others do, is served within this. */
const SERVED_MS = 1000;
/** What an attack may leave of memory, as a share of what there was before. */
const GROWTH = 1.05;
/** So often in a row memory must have grown: what is left behind is so each time, what the allocator keeps for later is not. */
const ROUNDS = 4;
/** What is said of a broker that is gone, which is no error of the gateway. */
const BROKER_FAULT = '"message":"a fault of the broker"';
/** Between two messages of the witness. */
const PACE_MS = 20;

/** A gateway in a process of its own that is attacked, with everything open to everybody, and what must hold of it whatever was done. */
export class Stage implements AsyncDisposable {
  readonly gateway: GatewayProcess;
  readonly inspector: Inspector;
  readonly #stack: AsyncDisposableStack;

  private constructor(gateway: GatewayProcess, inspector: Inspector, stack: AsyncDisposableStack) {
    this.gateway = gateway;
    this.inspector = inspector;
    this.#stack = stack;
  }

  static async start(args: readonly string[] = []): Promise<Stage> {
    const stack = new AsyncDisposableStack();
    try {
      const gateway = stack.use(await startGateway({ args: ['--demo', ...args], env: { NODE_OPTIONS: INSPECTED } }));
      return new Stage(gateway, stack.use(await Inspector.of(gateway)), stack);
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  }

  /** As {@link survives}, beside somebody who notices nothing of it. */
  async withstands(attack: () => Promise<void>): Promise<void> {
    await this.survives(attack, async () => {
      const witness = await Witness.start(this.gateway);
      await attack();
      await witness.end();
    });
  }

  /**
   * Does it twice: once for what is only made at the first time, and once more, as `again` does it; more often only where memory has grown. Afterwards who comes is served at once, nothing of it is left, neither sessions
   * nor bytes nor memory, the books balance, and no error but a broker's was logged.
   */
  async survives(fault: () => Promise<void>, again: () => Promise<void> = fault): Promise<void> {
    await fault();
    const growths: number[] = [];
    while (growths.length < ROUNDS && growths.every((growth) => growth >= GROWTH)) growths.push(await this.#growthBy(again));
    expect(Math.min(...growths)).toBeLessThan(GROWTH);
    expect(this.gateway.lines.all.filter((line) => line.includes('"level":"error"') && !line.includes(BROKER_FAULT))).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** What memory is afterwards, as a share of what it was before. */
  async #growthBy(fault: () => Promise<void>): Promise<number> {
    await this.#quiet();
    const before = await this.inspector.resident();
    await fault();
    await (await Witness.start(this.gateway)).end();
    await this.#quiet();
    return (await this.inspector.resident()) / before;
  }

  /** Nobody is there, nothing is held, and what was due is accounted for. */
  async #quiet(): Promise<void> {
    await expect
      .poll(async () => {
        const page = await metricsOf(this.gateway);
        const [due, sent, dropped, queued] = ['due_total', 'sent_total', 'dropped_total', 'queued'].map((name) => sumOf(page, `busgate_deliveries_${name}`));
        return {
          sessions: sumOf(page, 'busgate_sessions'),
          bytes: sumOf(page, 'busgate_inbound_bytes') + sumOf(page, 'busgate_outbox_bytes'),
          unaccounted: Number(due) - Number(sent) - Number(dropped) - Number(queued),
        };
      })
      .toEqual({ sessions: 0, bytes: 0, unaccounted: 0 });
  }
}

/** A good client in a room of its own, whose messages come back to it for as long as it is there. */
class Witness {
  readonly #client: Client;
  readonly #timer: NodeJS.Timeout;
  readonly #sent: number[] = [];
  readonly #took: number[] = [];
  /** The longest time between two messages: what this process was held up by a machine that is busy counts for nobody. */
  #heldUp = 0;
  #opened = 0;

  private constructor(client: Client) {
    this.#client = client;
    this.#timer = setInterval(() => this.#send(), PACE_MS);
    client.socket.on('message', () => this.#took.push(performance.now() - (this.#sent[this.#took.length] ?? 0)));
    this.#send();
  }

  static async start(gateway: GatewayProcess): Promise<Witness> {
    const before = performance.now();
    const client = await Client.open(gateway.ws(`/room/witness.${crypto.randomUUID()}`));
    const witness = new Witness(client);
    witness.#opened = performance.now() - before;
    return witness;
  }

  /** It has had all that it sent, in order, and none of it late. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    await this.#client.until((received) => received.length === this.#sent.length);
    expect(this.#client.received.map(Number)).toEqual([...this.#sent.keys()]);
    expect(Math.max(this.#opened, ...this.#took)).toBeLessThan(SERVED_MS + this.#heldUp);
    await this.#client[Symbol.asyncDispose]();
  }

  #send(): void {
    this.#client.send(String(this.#sent.length));
    const now = performance.now();
    this.#heldUp = Math.max(this.#heldUp, now - (this.#sent.at(-1) ?? now));
    this.#sent.push(now);
  }
}

/** A raw client past its handshake, at a host that a demo answers to. */
export async function openRaw(port: number, path: string): Promise<RawClient> {
  const client = await RawClient.connect(port);
  client.write(upgrade(path, { Host: 'localhost' }));
  const { status } = await client.answer();
  if (status !== 101) throw new Error(`refused with ${status}`);
  return client;
}

import { LayerError, isLayerError, type LayerLogger } from '@busgate/layer/driver';
import { Connection, type Access } from './connection.ts';
import { within } from './proof.ts';
import { addressOf, type Node } from './url.ts';

/** Asks Redis Sentinel where the primary is. */
export class Sentinels {
  /** The one to be asked first stands first. */
  #nodes: readonly Node[];
  readonly #primary: string;
  readonly #access: Access;
  readonly #logger: LayerLogger;
  readonly #closing = new AbortController();
  #connection: Connection | undefined;
  #locating: Promise<Node> | undefined;

  constructor(nodes: readonly Node[], primary: string, access: Access, logger: LayerLogger) {
    this.#nodes = nodes;
    this.#primary = primary;
    this.#access = access;
    this.#logger = logger;
  }

  /**
   * The first sentinel that knows a primary is believed, and asked last the next time: where the primary that it named is of no use, it may be one that
   * the others have left behind, and another one knows better.
   * @throws LayerError LAYER_AWAY where none answers, or none knows it; REFUSED where none of those that answer permits it
   */
  locate(): Promise<Node> {
    this.#locating ??= this.#askEach().finally(() => (this.#locating = undefined));
    return this.#locating;
  }

  /** What the sentinel asked last says now; undefined where it does not answer, or none is there to be asked: then another one is looked for. */
  async relocate(): Promise<Node | undefined> {
    const connection = this.#connection;
    if (connection?.alive !== true) {
      this.locate().catch(() => undefined);
      return undefined;
    }
    try {
      return await this.#ask(connection);
    } catch (error) {
      this.#logger.warn('a sentinel left', { error: String(error) });
      this.#leave();
      return undefined;
    }
  }

  close(): void {
    this.#closing.abort();
    this.#leave();
  }

  async #askEach(): Promise<Node> {
    this.#leave();
    const faults: LayerError[] = [];
    for (const node of this.#nodes) {
      if (this.#closing.signal.aborted) break;
      this.#nodes = [...this.#nodes.filter((other) => other !== node), node];
      try {
        const connection = await Connection.open(node, this.#access, this.#closing.signal);
        this.#connection = connection;
        const primary = await this.#ask(connection);
        if (primary !== undefined) return primary;
        faults.push(new LayerError('LAYER_AWAY', `${addressOf(node)} knows no primary ${JSON.stringify(this.#primary)}`));
      } catch (error) {
        faults.push(error as LayerError);
      }
      this.#leave();
    }
    const hasAnswered = faults.some(({ fault }) => fault === undefined);
    const refused = !hasAnswered && faults.some((fault) => isLayerError(fault, 'REFUSED'));
    const words = `no sentinel says where the primary is: ${faults.map(({ message }) => message).join('; ')}`;
    if (!refused) throw new LayerError('LAYER_AWAY', words, { fault: 'unreachable' });
    throw new LayerError('REFUSED', `${words}; sentinels have their own parameters in the URL: sentinelUsername, sentinelPassword`, { fault: 'refused' });
  }

  #leave(): void {
    this.#connection?.destroy('closed');
    this.#connection = undefined;
  }

  async #ask(connection: Connection): Promise<Node | undefined> {
    const reply = connection.run('sentinel', 'get-master-addr-by-name', this.#primary);
    const address = (await within(connection, 'no answer of the sentinel', reply)) as [Buffer, Buffer] | null;
    return address === null ? undefined : { host: address[0].toString(), port: Number(address[1].toString()) };
  }
}

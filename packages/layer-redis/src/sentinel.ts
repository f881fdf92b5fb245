import { LayerError, type LayerLogger } from '@busgate/layer/driver';
import { Connection, type Access } from './connection.ts';
import { within } from './proof.ts';
import type { Node } from './url.ts';

/** Asks Redis Sentinel where the primary is. */
export class Sentinels {
  readonly #nodes: readonly Node[];
  readonly #primary: string;
  readonly #access: Access;
  readonly #logger: LayerLogger;
  #connection: Connection | undefined;

  constructor(nodes: readonly Node[], primary: string, access: Access, logger: LayerLogger) {
    this.#nodes = nodes;
    this.#primary = primary;
    this.#access = access;
    this.#logger = logger;
  }

  /**
   * The first sentinel that knows the primary is believed.
   * @throws LayerError LAYER_AWAY where none answers, or none knows it
   */
  async locate(): Promise<Node> {
    const known = await this.relocate();
    if (known !== undefined) return known;
    const faults: string[] = [];
    for (const node of this.#nodes) {
      try {
        const connection = await Connection.open(node, this.#access);
        this.#connection = connection;
        const primary = await this.#ask(connection);
        if (primary !== undefined) return primary;
        faults.push(`${node.host}:${node.port} knows no primary ${JSON.stringify(this.#primary)}`);
      } catch (error) {
        faults.push((error as Error).message);
      }
      this.close();
    }
    throw new LayerError('LAYER_AWAY', `no sentinel says where the primary is: ${faults.join('; ')}`, { fault: 'unreachable' });
  }

  /** What the sentinel asked last says now; undefined where it does not answer. */
  async relocate(): Promise<Node | undefined> {
    const connection = this.#connection;
    if (connection?.alive !== true) return undefined;
    try {
      return await this.#ask(connection);
    } catch (error) {
      this.#logger.warn('a sentinel left', { error: String(error) });
      this.close();
      return undefined;
    }
  }

  close(): void {
    this.#connection?.destroy('closed');
    this.#connection = undefined;
  }

  async #ask(connection: Connection): Promise<Node | undefined> {
    const reply = connection.run('sentinel', 'get-master-addr-by-name', this.#primary);
    const address = (await within(connection, 'no answer of the sentinel', reply)) as [Buffer, Buffer] | null;
    return address === null ? undefined : { host: address[0].toString(), port: Number(address[1].toString()) };
  }
}

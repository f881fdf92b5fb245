import type { Buffer } from 'node:buffer';
import { LayerError } from '@busgate/layer/driver';
import type { Runner } from './scripts.ts';
import { addressOf, type Node } from './url.ts';

/** A node as it is announced: its host, its port, its id, and in Redis 7 what else is known of it, names and values in turn. */
type Announced = readonly [Buffer | null, number, Buffer?, (readonly Buffer[] | null)?];

/** Which primary has which slots of a Redis Cluster. */
export class Topology {
  readonly nodes: ReadonlyMap<string, Node>;
  readonly #owners: readonly (string | undefined)[];

  private constructor(nodes: ReadonlyMap<string, Node>, owners: readonly (string | undefined)[]) {
    this.nodes = nodes;
    this.#owners = owners;
  }

  /** Asks one node, which is at `host`. */
  static async ask(runner: Runner, host: string): Promise<Topology> {
    const ranges = (await runner.run('cluster', 'SLOTS')) as [number, number, Announced][];
    const nodes = new Map<string, Node>();
    const owners: (string | undefined)[] = Array.from({ length: 16_384 });
    for (const [from, to, announced] of ranges) {
      const node = { host: hostOf(announced) ?? host, port: announced[1] };
      const name = addressOf(node);
      nodes.set(name, node);
      owners.fill(name, from, to + 1);
    }
    if (nodes.size === 0) throw new LayerError('LAYER_AWAY', `${host} is in no cluster: it has no slots`);
    return new Topology(nodes, owners);
  }

  /** The address of the primary of a slot. */
  ownerOf(slot: number): string | undefined {
    return this.#owners[slot];
  }

  /** A slot that had another primary before: which one, and which it has now. */
  movedSince(before: Topology): string | undefined {
    const slot = this.#owners.findIndex((owner, at) => owner !== undefined && before.#owners[at] !== undefined && before.#owners[at] !== owner);
    return slot === -1 ? undefined : `slot ${slot}, for one, has gone from ${before.#owners[slot]} to ${this.#owners[slot]}`;
  }

  /** Whether every slot has a primary. */
  get complete(): boolean {
    return this.#owners.every((owner) => owner !== undefined);
  }
}

/**
 * Its address, where it has no name: `?` is a node that should have one and was given none (`cluster-preferred-endpoint-type hostname`). Undefined
 * where it says neither: then it is where the node is that was asked.
 */
function hostOf([endpoint, , , facts]: Announced): string | undefined {
  const name = endpoint?.toString() ?? '';
  return name === '?' ? factOf(facts ?? [], 'ip') : name || undefined;
}

function factOf(facts: readonly Buffer[], wanted: string): string | undefined {
  const at = facts.findIndex((fact, index) => index % 2 === 0 && fact.toString() === wanted);
  return at === -1 ? undefined : facts[at + 1]?.toString() || undefined;
}

import type { Topic } from '@busgate/layer/driver';

/**
 * The names of everything in Redis. A history has two keys and a channel beside the room's own, all in the slot of that one: what stands in
 * braces is what Redis Cluster hashes, and without braces it is the whole name.
 */
export class Keys {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  topic({ kind, name }: Topic): string {
    return `${this.#prefix}:${kind}:${name}`;
  }

  live(room: string): string {
    return `{${this.#prefix}:room:${room}}:live`;
  }

  history(room: string): string {
    return `{${this.#prefix}:room:${room}}:history`;
  }

  /** Where a history stands, beside its messages. */
  epoch(room: string): string {
    return `{${this.#prefix}:room:${room}}:epoch`;
  }

  queue(name: string): string {
    return `${this.#prefix}:queue:${name}`;
  }

  /** What is remembered of a message with an id: beside the key of a queue, or beside a room's name. */
  static idBeside(key: string, id: string): string {
    return `{${key}}:id:${id}`;
  }

  /** The worker queues that are members of a group, with the times when their memberships end. */
  members(group: string): string {
    return `{${this.#prefix}:group:${group}}:queues`;
  }

  /** The state of a lease, or its records. */
  lease(lease: string, what: 'state' | 'records'): string {
    return `{${this.#prefix}:lease:${lease}}:${what}`;
  }

  /** All leases, with times before which they are not over. */
  get leases(): string {
    return `${this.#prefix}:leases`;
  }

  /** When the records of a set end, or what they say. */
  records(set: string, what: 'ends' | 'values'): string {
    return `{${this.#prefix}:record:${set}}:${what}`;
  }

  /** The channel on which a process speaks to itself. */
  probe(id: string): string {
    return `${this.#prefix}:probe:${id}`;
  }

  /** A key that never exists: deleting it shows whether the server takes writes. */
  get nothing(): string {
    return `${this.#prefix}:nothing`;
  }

  /** What {@link owns} must still be asked about: `SCAN`'s pattern is wider. */
  get pattern(): string {
    return `*${this.#prefix}:*`;
  }

  /** Whether a key of the server is one of this prefix. */
  owns(key: string): boolean {
    const prefix = this.#prefix;
    if (key.startsWith(`${prefix}:queue:`) || key === this.leases || key.startsWith(`{${prefix}:lease:`) || key.startsWith(`{${prefix}:record:`)) return true;
    if (key.startsWith(`{${prefix}:queue:`)) return key.endsWith('}:order') || key.includes('}:id:');
    if (key.startsWith(`{${prefix}:room:`)) return key.endsWith('}:history') || key.endsWith('}:epoch') || key.includes('}:id:');
    return key.startsWith(`{${prefix}:group:`) && key.endsWith('}:queues');
  }
}

import { randomBytes } from 'node:crypto';
import { ID_MEMORY_MS, type GroupPublishResult, type HistoryPage, type PushOptions, type Stamp, type Topic, type TopicSink } from '../driver/driver.ts';
import type { HistoryRule } from '../history-rules.ts';
import { IdMemory } from '../id-memory.ts';
import type { Position } from '../position.ts';
import { MemoryLeases } from './leases.ts';
import { MemoryQueue } from './queue.ts';
import { MemoryRecords } from './records.ts';

const SWEEP_MS = 60_000;

interface RetainedMessage {
  readonly offset: number;
  readonly payload: Uint8Array;
  readonly expiresAt: number;
}

interface History {
  readonly epoch: string;
  head: number;
  /** Offset of the newest message that is no longer kept. */
  trimmed: number;
  /** When the newest message expires. */
  quietAt: number;
  readonly kept: RetainedMessage[];
}

interface Publication {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly stamp: Stamp | undefined;
  readonly traceparent: string | undefined;
}

/** What is said of a message beside its payload. */
interface MessageDetails {
  readonly id: string | undefined;
  readonly traceparent: string | undefined;
}

/** A broker in this process. All that is published goes through one line, so that every subscriber sees one order, and none is called within a publish. */
export class Bus {
  readonly #topics = new Map<string, Set<TopicSink>>();
  readonly #queues = new Map<string, MemoryQueue>();
  readonly #histories = new Map<string, History>();
  readonly #groups = new Map<string, Map<string, number>>();
  readonly #pushed = new IdMemory<true>(ID_MEMORY_MS);
  readonly #appended = new IdMemory<Position>(ID_MEMORY_MS);
  readonly leases = new MemoryLeases(({ queue, payload, expiryMs }, id) => void this.push(queue, payload, Infinity, { expiryMs, id }));
  readonly records = new MemoryRecords();
  #line: Publication[] = [];
  #sweeper: NodeJS.Timeout | undefined;

  static key(topic: Topic): string {
    return `${topic.kind}:${topic.name}`;
  }

  subscribe(topic: Topic, sink: TopicSink): void {
    const key = Bus.key(topic);
    const sinks = this.#topics.get(key);
    if (sinks === undefined) this.#topics.set(key, new Set([sink]));
    else sinks.add(sink);
  }

  unsubscribe(topic: Topic, sink: TopicSink): void {
    const key = Bus.key(topic);
    const sinks = this.#topics.get(key);
    sinks?.delete(sink);
    if (sinks?.size === 0) this.#topics.delete(key);
  }

  /** How many sinks it will reach. */
  publish(topic: Topic, payload: Uint8Array, stamp?: Stamp, traceparent?: string): number {
    const key = Bus.key(topic);
    const reached = this.#topics.get(key)?.size ?? 0;
    if (reached > 0) this.#enqueue({ topic: key, payload, stamp, traceparent });
    return reached;
  }

  queue(name: string): MemoryQueue {
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    const queue = new MemoryQueue(
      () => this.queue(name),
      () => this.#queues.delete(name),
    );
    this.#queues.set(name, queue);
    return queue;
  }

  /** False where the queue is full. */
  push(name: string, payload: Uint8Array, capacity: number, { expiryMs, id, exempt }: PushOptions & { readonly expiryMs: number }): boolean {
    const now = performance.now();
    if (id !== undefined && this.#pushed.find(id, now) !== undefined) return true;
    const queue = this.queue(name);
    if (exempt !== true && queue.isFull(capacity)) {
      queue.settle();
      return false;
    }
    if (id !== undefined) this.#pushed.add(id, true, now);
    queue.push(payload, expiryMs);
    return true;
  }

  addMember(group: string, queue: string, expiryMs: number): void {
    const members = this.#groups.get(group) ?? new Map<string, number>();
    this.#groups.set(group, members.set(queue, performance.now() + expiryMs));
  }

  removeMember(group: string, queue: string): void {
    const members = this.#groups.get(group);
    members?.delete(queue);
    if (members?.size === 0) this.#groups.delete(group);
  }

  publishGroup(group: string, payload: Uint8Array): GroupPublishResult {
    this.publish({ kind: 'group', name: group }, payload);
    const now = performance.now();
    const queues: string[] = [];
    for (const [queue, endsAt] of this.#groups.get(group) ?? []) {
      if (endsAt > now) queues.push(queue);
      else this.removeMember(group, queue);
    }
    return { queues };
  }

  append(room: string, payload: Uint8Array, rule: HistoryRule, { id, traceparent }: MessageDetails): Position {
    if (id === undefined) return this.#append(room, payload, rule, traceparent);
    const now = performance.now();
    const first = this.#appended.find(id, now);
    if (first !== undefined) return first;
    const position = this.#append(room, payload, rule, traceparent);
    this.#appended.add(id, position, now);
    return position;
  }

  read(room: string, rule: HistoryRule, after: Position | undefined): HistoryPage {
    const history = this.#history(room);
    this.#trim(history, rule);
    const { epoch, head } = history;
    if (after === undefined || after.epoch !== epoch || after.offset > head) return { epoch, head, complete: false, messages: [] };
    return { epoch, head, complete: after.offset >= history.trimmed, messages: history.kept.filter((message) => message.offset > after.offset) };
  }

  purge(room: string): void {
    const history = this.#history(room);
    history.kept.length = 0;
    history.trimmed = history.head;
  }

  flush(): void {
    for (const queue of this.#queues.values()) queue.clear();
    this.#groups.clear();
    this.#histories.clear();
    this.#pushed.clear();
    this.#appended.clear();
    this.leases.clear();
    this.records.clear();
  }

  /** Ends the bus's own timer. */
  close(): void {
    clearTimeout(this.#sweeper);
  }

  #append(room: string, payload: Uint8Array, rule: HistoryRule, traceparent: string | undefined): Position {
    const history = this.#history(room);
    const previous = history.head;
    history.head += 1;
    history.quietAt = performance.now() + rule.ageMs;
    history.kept.push({ offset: history.head, payload, expiresAt: history.quietAt });
    this.#trim(history, rule);
    const position = { epoch: history.epoch, offset: history.head };
    this.publish({ kind: 'room', name: room }, payload, { ...position, previous }, traceparent);
    return position;
  }

  #history(room: string): History {
    const known = this.#histories.get(room);
    if (known !== undefined) return known;
    const history: History = { epoch: randomBytes(6).toString('hex'), head: 0, trimmed: 0, quietAt: performance.now(), kept: [] };
    this.#histories.set(room, history);
    this.#sweeper ??= setTimeout(() => this.#sweep(), SWEEP_MS).unref();
    return history;
  }

  /** A history outlives its messages while somebody listens to the room; after that the next message begins a new epoch. */
  #sweep(): void {
    const now = performance.now();
    for (const [room, history] of this.#histories) {
      if (history.quietAt <= now && !this.#topics.has(Bus.key({ kind: 'room', name: room }))) this.#histories.delete(room);
    }
    this.#sweeper = this.#histories.size > 0 ? setTimeout(() => this.#sweep(), SWEEP_MS).unref() : undefined;
  }

  #trim(history: History, rule: HistoryRule): void {
    const now = performance.now();
    let surplus = Math.max(0, history.kept.length - rule.size);
    while (surplus < history.kept.length && (history.kept[surplus]?.expiresAt ?? 0) <= now) surplus += 1;
    const last = history.kept.splice(0, surplus).at(-1);
    if (last !== undefined) history.trimmed = last.offset;
  }

  #enqueue(publication: Publication): void {
    this.#line.push(publication);
    if (this.#line.length === 1) setImmediate(() => this.#deliver());
  }

  /** What listeners publish meanwhile waits for the next turn of the event loop, so that they cannot keep it from timers and sockets. */
  #deliver(): void {
    const line = this.#line;
    this.#line = [];
    for (const { topic, payload, stamp, traceparent } of line) {
      for (const sink of this.#topics.get(topic) ?? []) sink.message(payload, stamp, traceparent);
    }
  }
}

import { join } from 'node:path';
import { Child } from '../../support/child.ts';
import { PythonEnvironment } from '../support/python.ts';

/** What a Django site's `CHANNEL_LAYERS` says of its channels_redis. */
export interface SiteConfig {
  readonly hosts: readonly string[];
  readonly prefix?: string;
  readonly serializer_format?: 'json' | 'msgpack';
  readonly symmetric_encryption_keys?: readonly string[];
  readonly random_prefix_length?: number;
}

/** A process with channels_redis's own layer. */
class Backend implements AsyncDisposable {
  readonly #child: Child;

  constructor(child: Child) {
    this.#child = child;
  }

  async call(name: string, ...args: unknown[]): Promise<unknown> {
    this.#child.write(`${JSON.stringify([name, ...args])}\n`);
    const { value, error } = JSON.parse(await this.#child.output.next()) as { value?: unknown; error?: string };
    if (error !== undefined) throw new Error(error);
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }
}

/** Python with the real channels_redis. */
export class DjangoEnvironment implements AsyncDisposable {
  readonly #python: PythonEnvironment;

  private constructor(python: PythonEnvironment) {
    this.#python = python;
  }

  static async make(): Promise<DjangoEnvironment> {
    return new DjangoEnvironment(await PythonEnvironment.with('channels==4.3.2', 'channels_redis[cryptography]==4.3.0'));
  }

  /** A backend process of a site, ready to be called. */
  async backend(wire: string, config: SiteConfig): Promise<Backend> {
    const child = new Child(this.#python.command('python'), [join(import.meta.dirname, 'backend.py'), wire, JSON.stringify(config)], { stdin: 'pipe' });
    if ((await child.output.next()) !== 'ready') throw new Error('the backend did not begin as expected');
    return new Backend(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#python[Symbol.asyncDispose]();
  }
}

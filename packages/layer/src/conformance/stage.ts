import { randomBytes } from 'node:crypto';
import type { LayerOptions } from '../contract.ts';
import type { Driver } from '../driver/driver.ts';
import { ChannelLayer } from '../layer.ts';
import { resolveOptions } from '../options.ts';
import type { Subject } from './subject.ts';

/** What one test works on: a prefix of its own, and every layer it opens, each as another process. Whatever happens, all of it is closed in the end. */
export class Stage {
  readonly prefix: string = newPrefix();
  readonly subject: Subject;
  readonly #opened: { readonly layer: ChannelLayer; readonly prefix: string }[] = [];

  private constructor(subject: Subject) {
    this.subject = subject;
  }

  static async run(subject: Subject, body: (stage: Stage) => Promise<void>): Promise<void> {
    const stage = new Stage(subject);
    try {
      await body(stage);
    } catch (error) {
      await stage.#clear().catch(() => undefined);
      throw error;
    }
    await stage.#clear();
  }

  /** One more layer of this test, as another process would open it. */
  open(options: LayerOptions = {}): Promise<ChannelLayer> {
    return this.openBy((whole) => this.subject.open(whole), options);
  }

  /** One more layer of this test, opened in another way than the subject's. */
  async openBy(open: Subject['open'], options: LayerOptions = {}): Promise<ChannelLayer> {
    const prefix = options.prefix ?? this.prefix;
    const layer = await open({ ...options, prefix });
    this.#opened.push({ layer, prefix });
    return layer;
  }

  /** One more, between which and its driver stands what `change` puts in place of the driver's methods; undefined where the subject has no driver alone. */
  async openChanged(options: LayerOptions, change: (driver: Driver) => Partial<Driver>): Promise<ChannelLayer | undefined> {
    const { subject } = this;
    if (subject.createDriver === undefined) return undefined;
    const process = randomBytes(8).toString('hex');
    return this.openBy(async (whole) => {
      const resolved = resolveOptions(whole);
      const driver = (await subject.createDriver?.({ options: resolved, process })) as Driver;
      const layer = new ChannelLayer(Object.assign(driver, change(driver)), resolved, process);
      await layer.open();
      return layer;
    }, options);
  }

  async openTwo(options: LayerOptions = {}): Promise<[ChannelLayer, ChannelLayer]> {
    return [await this.open(options), await this.open(options)];
  }

  /** Leaves nothing in the broker and no connection. */
  async #clear(): Promise<void> {
    const prefixes = new Map(this.#opened.map(({ layer, prefix }) => [prefix, layer]));
    for (const [prefix, last] of prefixes) {
      const layer = last.status.state === 'connected' ? last : await this.open({ prefix });
      await layer.flush();
    }
    await Promise.all(this.#opened.map(({ layer }) => layer.close()));
  }
}

function newPrefix(): string {
  return `conformance-${randomBytes(6).toString('hex')}`;
}

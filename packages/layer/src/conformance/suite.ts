import type { Capabilities, LayerOptions } from '../contract.ts';
import type { ChannelLayer } from '../layer.ts';
import { Stage } from './stage.ts';
import { assertUnsupported } from './unsupported.ts';

/** What the suite needs of a test runner: vitest's, node:test's and Jest's functions fit as they are. */
export interface Runner {
  readonly describe: (title: string, body: () => void) => unknown;
  readonly test: (title: string, body: () => Promise<void>) => unknown;
}

/** A layer under test. */
export interface Subject {
  readonly name: string;
  /** Opens one more layer on the same broker, as another process would. The options come from the suite and are to be passed on as they are. */
  open(options: LayerOptions): Promise<ChannelLayer>;
  /** Publishes on a topic (as `layer.replyTopic` names it) with nothing but the broker's own client. Without it, what other programs publish is not tested. */
  publishRaw?(topicName: string, payload: Uint8Array): Promise<void>;
}

/** Tests of one kind of guarantee, by title. Where the layer lacks what the family needs, each of them asserts that it says so. */
export interface Family {
  readonly title: string;
  readonly needs?: Need;
  readonly tests: Readonly<Record<string, (stage: Stage) => Promise<void>>>;
}

export type Need = 'history' | 'queues' | 'groups';

/** Defines a test for each promise of each family. */
export function runFamilies(runner: Runner, subject: Subject, families: readonly Family[]): void {
  const { describe, test } = runner;
  let known: Promise<Capabilities> | undefined;
  for (const { title, needs, tests } of families) {
    describe(title, () => {
      for (const [promise, body] of Object.entries(tests)) {
        test(promise, async () => {
          const capabilities = await (known ??= probe(subject));
          await Stage.run(subject, needs === undefined || capabilities[needs] ? body : (stage) => assertUnsupported(stage, needs));
        });
      }
    });
  }
}

async function probe(subject: Subject): Promise<Capabilities> {
  const layer = await subject.open({});
  await layer.close();
  return layer.capabilities;
}

import type { Ability, Capabilities } from '../contract.ts';
import { Stage } from './stage.ts';
import type { Runner, Subject } from './subject.ts';
import { assertUnsupported } from './unsupported.ts';

/** Tests of one kind of guarantee, by title. Where the layer lacks what the family needs, what is asserted instead, once, is that it says so. */
export interface Family {
  readonly title: string;
  readonly needs?: Ability;
  readonly tests: Readonly<Record<string, (stage: Stage) => Promise<void>>>;
}

/** Defines a test for each promise of each family. */
export function runFamilies(runner: Runner, subject: Subject, families: readonly Family[]): void {
  const { describe, test } = runner;
  let known: Promise<Capabilities> | undefined;
  for (const { title, needs, tests } of families) {
    let said: Promise<void> | undefined;
    describe(title, () => {
      for (const [promise, body] of Object.entries(tests)) {
        test(promise, async () => {
          const capabilities = await (known ??= probe(subject));
          if (needs === undefined || capabilities[needs] === true) await Stage.run(subject, body);
          else await (said ??= Stage.run(subject, (stage) => assertUnsupported(stage, needs)));
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

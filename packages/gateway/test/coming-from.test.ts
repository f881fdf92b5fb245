import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { BEHAVIOURS, ORIGIN, readPairs } from '../../../test/support/coming-from.ts';
import { TestGateway } from './support/gateway.ts';

const pairs = await readPairs();
/** From where the modules find @busgate/consumer. */
const folder = await mkdtemp(join(import.meta.dirname, 'modules/made-'));
afterAll(() => rm(folder, { recursive: true }));

test.each(pairs)('what users of $library have is here: $title', async ({ title, library, after }) => {
  const module = join(folder, `${library} ${title}.ts`.replaceAll(/[^A-Za-z0-9.]/g, '-'));
  await writeFile(module, after);
  const behave = BEHAVIOURS[title];
  if (behave === undefined) {
    const tested = (await import(pathToFileURL(module).href)) as { check(): Promise<void> };
    return await expect(tested.check()).resolves.toBeUndefined();
  }
  const origins = title === 'A handler' ? ['--origins', ORIGIN] : [];
  await using gateway = await TestGateway.start(['--routes', `[{path: '/*', kind: consumer, module: '${module}', http: true}]`, ...origins]);
  await expect(behave(gateway)).resolves.toBeUndefined();
});

test('every behaviour is that of a pair', () => {
  expect(Object.keys(BEHAVIOURS).filter((title) => !pairs.some((pair) => pair.title === title))).toEqual([]);
  expect(new Set(pairs.map(({ library }) => library))).toEqual(new Set(['dwebsocket', 'Tornado', 'Channels 1', 'Channels 3 and 4']));
});

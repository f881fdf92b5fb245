import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import { startGateway } from '../support/processes.ts';

const ROOT = join(import.meta.dirname, '../..');

test('the wscat of the first minute comes with npm ci: what is typed in one terminal is in the other', async () => {
  expect(await readFile(join(ROOT, 'README.md'), 'utf8')).toContain('npx wscat -c ws://localhost:8080/room/1');
  await using gateway = await startGateway({ args: ['--demo'] });
  const terminal = (): Child => new Child(process.execPath, [join(ROOT, 'node_modules/.bin/wscat'), '-c', gateway.ws('/room/1')], { stdin: 'pipe' });
  await using one = terminal();
  await using other = terminal();
  await expect.poll(() => gateway.metric('busgate_sessions{transport="websocket"}')).toBe(2);
  one.write('typed\n');
  expect(await other.output.next()).toBe('typed');
  const answer = await fetch(gateway.http('/room/1'), { method: 'POST', body: 'hello' });
  expect(answer.status).toBe(202);
  expect(await other.output.next()).toBe('hello');
});

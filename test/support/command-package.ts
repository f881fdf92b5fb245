import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const BIN = join(import.meta.dirname, '../../packages/gateway/bin/busgate.js');

/** Says what it was given, counts the signals it gets, and ends with 7 when it is written to. */
const CLI = `
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => console.log(signal));
  process.stdin.on('data', () => process.exit(7));
  setInterval(() => {}, 60_000);
  const marks = Object.keys(process.env).filter((name) => name.includes('BUSGATE_PARENT'));
  console.log(JSON.stringify({ args: process.argv.slice(2), conditions: process.execArgv, node: process.version, marks }));
`;

interface CommandPackage extends AsyncDisposable {
  readonly folder: string;
  readonly bin: string;
}

/** A package of its own around the real bin file, with `file` as its only command. */
export async function packageWith(file: string): Promise<CommandPackage> {
  const folder = await mkdtemp(join(tmpdir(), 'busgate-bin-'));
  for (const path of ['bin/busgate.js', file]) await mkdir(dirname(join(folder, path)), { recursive: true });
  await copyFile(BIN, join(folder, 'bin/busgate.js'));
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  await writeFile(join(folder, file), CLI);
  return { folder, bin: join(folder, 'bin/busgate.js'), [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const INSTALL = join(import.meta.dirname, 'install.sh');

/** Where `name` is, or undefined. */
function findBinary(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/bin', '/usr/bin', '/usr/local/sbin', '/usr/sbin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/**
 * Where the program `name` is; installs its Debian package where it is missing and that is possible.
 * `elsewhere` says how else to get what it is needed for.
 */
export async function requireBinary(name: string, elsewhere = '', packageName = name): Promise<string> {
  const there = findBinary(name);
  if (there !== undefined) return there;
  try {
    await run('bash', [INSTALL, packageName], { maxBuffer: 16 * 1024 * 1024 });
  } catch (cause) {
    throw new Error(
      `the tests need ${name}, which is not on the PATH and could not be installed: apt-get install ${packageName} (macOS: brew install ${packageName})${elsewhere}`,
      { cause },
    );
  }
  const installed = findBinary(name);
  if (installed === undefined) throw new Error(`the package ${packageName} brought no ${name}`);
  return installed;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

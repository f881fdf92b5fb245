import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ROOT } from './commands.ts';

/** What is made, and not written. */
const MADE: ReadonlySet<string> = new Set(['node_modules', 'dist', '.git']);

/** Copies parts of this checkout, as they are, without what is made of them. */
export async function copyCheckout(root: string, parts: readonly string[]): Promise<void> {
  for (const part of parts) await cp(join(ROOT, part), join(root, part), { recursive: true, filter: (source) => !MADE.has(basename(source)) });
}

/** Gives a copy its own packages by their names, and what they take from others as this checkout has it. */
export async function linkDependencies(root: string): Promise<void> {
  const modules = join(root, 'node_modules');
  await mkdir(join(modules, '@busgate'), { recursive: true });
  const installed = (await readdir(join(ROOT, 'node_modules'))).filter((name) => !name.startsWith('.') && name !== '@busgate');
  await Promise.all(installed.map((name) => symlink(join(ROOT, 'node_modules', name), join(modules, name))));
  const own = await readdir(join(root, 'packages'));
  await Promise.all(own.map((name) => symlink(join(root, 'packages', name), join(modules, '@busgate', name))));
}

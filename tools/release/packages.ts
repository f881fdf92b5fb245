import { run } from './run.ts';

/** Rejects with what publint or Are the Types Wrong say against a tarball. Packages are ES modules alone, for Node and for bundlers. */
export async function checkTarballs(tarballs: readonly string[], root: string): Promise<void> {
  await Promise.all(tarballs.map((tarball) => run('publint', ['run', tarball, '--strict'], root)));
  await Promise.all(tarballs.map((tarball) => run('attw', [tarball, '--profile', 'esm-only', '--no-definitely-typed', '--no-emoji'], root)));
}

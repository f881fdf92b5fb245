import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyCheckout, linkDependencies } from './checkout.ts';
import { outcomeOf, outputOf } from './commands.ts';

/** Of the first state that had every wire of this one; gateways of it and of what came later may share a broker. Before the first release it stands for one. */
const FIRST = 'f9e57fe9ff355f2bcf3d35b2b403cb235142dcce';

/** Folders of a checkout that its programs and their workers run from. */
const PARTS = ['package.json', 'packages', 'test/e2e/modules'];

/** Sources of a version before this one, with what they depend on. */
export interface Older extends AsyncDisposable {
  readonly root: string;
  /** A tag, a commit, or what was taken where the clone has neither. */
  readonly name: string;
}

/** The last release; before the first one the state that stands for it; and where the clone has no history, a second copy of this checkout. */
export async function olderVersion(): Promise<Older> {
  const root = await mkdtemp(join(tmpdir(), 'busgate-older-'));
  const commit = (await lastRelease()) ?? ((await isHere(FIRST)) ? FIRST : undefined);
  if (commit === undefined) await copyCheckout(root, PARTS);
  else await extract(commit, root);
  await linkDependencies(root);
  return { root, name: commit ?? 'this checkout', [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) };
}

/** The last release before this commit, by its tag. */
async function lastRelease(): Promise<string | undefined> {
  const { code, stdout } = await outcomeOf('git', ['describe', '--tags', '--abbrev=0', '--match', 'v[0-9]*', 'HEAD^']);
  return code === 0 ? stdout.trim() : undefined;
}

async function isHere(commit: string): Promise<boolean> {
  return (await outcomeOf('git', ['cat-file', '-e', `${commit}^{commit}`])).code === 0;
}

async function extract(commit: string, root: string): Promise<void> {
  const archive = join(root, 'older.tar');
  await outputOf('git', ['archive', `--output=${archive}`, commit, ...PARTS]);
  await outputOf('tar', ['-xf', archive, '-C', root]);
}

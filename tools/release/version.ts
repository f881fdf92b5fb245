import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const UNRELEASED = '## Unreleased';
const NONE_YET = 'No version has been released yet';
const DEPENDENCIES = ['dependencies', 'peerDependencies'] as const;

/** Files that name the version in words of their own; the version stands between what comes before and after. */
const MENTIONS: readonly (readonly [file: string, mention: RegExp])[] = [
  ['packages/asgi/src/busgate_asgi/__init__.py', /(?<=__version__ = ")[^"]+/g],
  ['deploy/Dockerfile', /(?<=ARG VERSION=)\S+/g],
  ['k8s/base/kustomization.yaml', /(?<=app\.kubernetes\.io\/version: |newTag: )\S+/g],
  ['docs/deploy/kubernetes.md', /(?<=registry\.example\/busgate:)\d[^\s`]*/g],
  ['examples/django/busgate.diff', /(?<=busgate-asgi==)\S+/g],
];

type Manifest = { version: string; name?: string } & Partial<Record<(typeof DEPENDENCIES)[number], Record<string, string>>>;

/** The changelog with what is unreleased under the version and its day, and a new empty section above. Throws where nothing is unreleased. */
export function datedChanges(changelog: string, version: string, now: Date): string {
  const [before, after] = changelog.split(`${UNRELEASED}\n`);
  if (before === undefined || after === undefined) throw new Error(`CHANGELOG.md has not one section “${UNRELEASED}”`);
  if (!/^- /m.test(after.split(/^## /m)[0] ?? '')) throw new Error('CHANGELOG.md says nothing that is unreleased');
  return `${before}${UNRELEASED}\n\n## ${version} (${now.toISOString().slice(0, 10)})\n${after}`;
}

/** Throws unless UPGRADING.md says which versions may share a broker with this one. */
export function requireRow(upgrading: string, version: string): void {
  if (!new RegExp(`^\\| ${version.replaceAll('.', '\\.')} +\\|`, 'm').test(upgrading)) throw new Error(`UPGRADING.md has no row for ${version}`);
  if (upgrading.includes(NONE_YET)) throw new Error(`UPGRADING.md says “${NONE_YET}”`);
}

/** Gives every package the version, and what they need of each other; and all else that names it. */
export async function setVersion(root: string, version: string): Promise<void> {
  const lockfile = join(root, 'package-lock.json');
  const lock = JSON.parse(await readFile(lockfile, 'utf8')) as { version: string; packages: Record<string, Manifest> };
  lock.version = version;
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path.includes('node_modules')) continue;
    give(entry, version);
    const file = join(root, path, 'package.json');
    const manifest = JSON.parse(await readFile(file, 'utf8')) as Manifest;
    give(manifest, version);
    await writeFile(file, `${JSON.stringify(manifest, null, 2)}\n`);
  }
  await writeFile(lockfile, `${JSON.stringify(lock, null, 2)}\n`);
  for (const [path, mention] of MENTIONS) await mentionIn(join(root, path), mention, version);
}

function give(manifest: Manifest, version: string): void {
  manifest.version = version;
  for (const kind of DEPENDENCIES)
    for (const name of Object.keys(manifest[kind] ?? {})) if (name.startsWith('@busgate/')) Object.assign(manifest[kind] ?? {}, { [name]: version });
}

async function mentionIn(file: string, mention: RegExp, version: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  if (text.search(mention) < 0) throw new Error(`${file} names no version`);
  await writeFile(file, text.replaceAll(mention, version));
}

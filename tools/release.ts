/**
 * Makes a release of all packages at once, all but its upload: `npm run release -- 0.2.0 [--into FOLDER]`. Everything is looked at before anything is kept: a tree without changes, what CHANGELOG.md and
 * UPGRADING.md say, and the packages as they would be published. Then there is one commit, one tag, in the folder (`release` without the flag) a tarball of each package, and the Python package as a wheel; and, where a Docker engine answers, the image.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildImage } from './release/image.ts';
import { checkTarballs } from './release/packages.ts';
import { run } from './release/run.ts';
import { buildWheel } from './release/wheel.ts';
import { datedChanges, requireRow, setVersion } from './release/version.ts';

const ROOT = join(import.meta.dirname, '..');

await main().catch((error: unknown) => {
  console.error(`release: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { into: { type: 'string', default: 'release' } } });
  const [version = ''] = positionals;
  if (positionals.length !== 1 || !/^\d+\.\d+\.\d+$/.test(version)) throw new Error('usage: npm run release -- X.Y.Z [--into FOLDER]');
  await requireReady(version);
  const folder = resolve(ROOT, values.into);
  let image: string | undefined;
  try {
    const changes = join(ROOT, 'CHANGELOG.md');
    await writeFile(changes, datedChanges(await readFile(changes, 'utf8'), version, new Date()));
    await setVersion(ROOT, version);
    await pack(folder);
    image = await buildImage(version, ROOT);
    await run('git', ['commit', '--quiet', '--all', '--message', `release: ${version}`], ROOT);
    await run('git', ['tag', '--annotate', `v${version}`, '--message', `Busgate ${version}`], ROOT);
  } catch (error) {
    await run('git', ['checkout', '--quiet', '--', '.'], ROOT);
    throw error;
  }
  const left =
    image === undefined ? `the image (no Docker engine answers here): docker build -f deploy/Dockerfile -t busgate:${version} .` : `docker push of ${image}`;
  console.log(
    `${version} is in ${folder}, committed and tagged. What is left: git push --follow-tags, npm publish of each tarball, twine upload of the wheel, and ${left}`,
  );
}

async function requireReady(version: string): Promise<void> {
  if ((await run('git', ['status', '--porcelain'], ROOT)) !== '') throw new Error('the tree has changes: commit them first');
  if ((await run('git', ['tag', '--list', `v${version}`], ROOT)) !== '') throw new Error(`v${version} is there already`);
  requireRow(await readFile(join(ROOT, 'UPGRADING.md'), 'utf8'), version);
}

/** Builds every package, puts its tarball into the folder and looks at it; and the wheel. */
async function pack(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await run('npm', ['run', '--silent', 'build'], ROOT);
  const { references } = JSON.parse(await readFile(join(ROOT, 'tsconfig.build.json'), 'utf8')) as { references: { path: string }[] };
  const packages = references.map(({ path }) => `./${join(path)}`);
  const packed = await run('npm', ['pack', '--json', '--pack-destination', folder, ...packages], ROOT);
  const tarballs = Object.values(JSON.parse(packed) as Record<string, { filename: string }>).map(({ filename }) => join(folder, filename));
  await checkTarballs(tarballs, ROOT);
  await buildWheel(folder, ROOT);
}

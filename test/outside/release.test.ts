import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildImage } from '../../tools/release/image.ts';
import { copyCheckout, linkDependencies } from './support/checkout.ts';
import { docker, requireDocker } from './support/docker.ts';
import { PythonEnvironment } from './support/python.ts';
import { type Outcome, outcomeOf, outputOf, ROOT } from './support/commands.ts';

const VERSION = '9.8.7';
const BIN = join(ROOT, 'node_modules/.bin');
/** Nobody's, wherever the tests run. */
const ENV = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'a',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'a',
  GIT_COMMITTER_EMAIL: 'a@example.com',
  // Whether there is an engine or not.
  DOCKER_HOST: 'unix:///nowhere',
};

/** A repository of its own with what is in this checkout. */
let scratch: string;

beforeAll(async () => {
  // Where Python has no means to make an environment, this installs them.
  await (await PythonEnvironment.with('pip'))[Symbol.asyncDispose]();
  scratch = await mkdtemp(join(tmpdir(), 'busgate-release-'));
  await copyCheckout(scratch, await readdir(ROOT).then((names) => names.filter((name) => !['node_modules', '.git', 'release'].includes(name))));
  await linkDependencies(scratch);
  await symlink(BIN, join(scratch, 'node_modules/.bin'));
  await git('init', '--quiet');
  await commit('what there is');
});

afterAll(() => rm(scratch, { recursive: true, force: true }));

async function git(...args: readonly string[]): Promise<string> {
  return (await outputOf('git', args, { cwd: scratch, env: ENV })).trim();
}

async function commit(message: string): Promise<void> {
  await git('add', '--all');
  await git('commit', '--quiet', '--message', message);
}

async function release(version: string): Promise<Outcome> {
  return await outcomeOf(join(BIN, 'node'), ['tools/release.ts', version], { cwd: scratch, env: { ...ENV, PATH: `${BIN}:${process.env['PATH']}` } });
}

async function change(file: string, from: string | RegExp, to: string): Promise<void> {
  const path = join(scratch, file);
  await writeFile(path, (await readFile(path, 'utf8')).replace(from, to));
}

test('a release is refused, and nothing is kept of it, until everything is said and every package is clean; then it is one commit, one tag, the tarballs and the wheel', async () => {
  const begun = await git('rev-parse', 'HEAD');
  for (const version of ['', '1.2', 'v1.2.3', 'minor']) expect((await release(version)).stderr).toContain('usage:');
  expect((await release(VERSION)).stderr).toContain(`UPGRADING.md has no row for ${VERSION}`);
  await change('UPGRADING.md', /\n(\| 0\.1\.0 )/, `\n| ${VERSION} | 0.1.0 |\n$1`);
  expect((await release(VERSION)).stderr).toContain('the tree has changes');
  expect(await git('rev-parse', 'HEAD')).toBe(begun);
  await change('UPGRADING.md', 'No version has been released yet', 'Versions have been released');
  // A package whose types are nowhere.
  await change('packages/consumer/package.json', './dist/run.d.ts', './dist/nowhere.d.ts');
  await commit('what is to be released, but for one fault');
  const faulty = await release(VERSION);
  expect([faulty.code, faulty.stderr]).toEqual([1, expect.stringMatching(/publint[^]*nowhere\.d\.ts/)]);
  expect([await git('status', '--porcelain'), await git('tag')]).toEqual(['', '']);

  await change('packages/consumer/package.json', './dist/nowhere.d.ts', './dist/run.d.ts');
  await commit('what is to be released');
  const done = await release(VERSION);
  expect([done.code, done.stderr]).toEqual([0, '']);
  expect(done.stdout).toContain(`the image (no Docker engine answers here): docker build -f deploy/Dockerfile -t busgate:${VERSION} .`);
  expect([await git('status', '--porcelain'), await git('tag', '--points-at', 'HEAD'), await git('log', '-1', '--format=%s')]).toEqual([
    '',
    `v${VERSION}`,
    `release: ${VERSION}`,
  ]);
  const names = ['client', 'consumer', 'gateway', 'layer', 'layer-nats', 'layer-redis'];
  expect((await readdir(join(scratch, 'release'))).toSorted()).toEqual([
    ...names.map((name) => `busgate-${name}-${VERSION}.tgz`),
    `busgate_asgi-${VERSION}-py3-none-any.whl`,
  ]);
  expect(await readFile(join(scratch, 'CHANGELOG.md'), 'utf8')).toMatch(/^## Unreleased\n\n## 9\.8\.7 \(\d{4}-\d\d-\d\d\)\n\n- /m);
  // Nothing that is part of a release keeps the version before.
  expect(await git('grep', '-l', '-F', VERSION, '--', 'deploy', 'k8s', 'packages/asgi', 'package-lock.json')).toMatch(/^deploy\/Dockerfile\n/);
  for (const name of names) {
    const manifest = await readFile(join(scratch, `packages/${name}/package.json`), 'utf8');
    expect(manifest.match(/"(?:version|@busgate\/[a-z-]+)": "\d[^"]*"/g)?.filter((line) => !line.endsWith(`"${VERSION}"`))).toEqual([]);
  }
  expect((await release(VERSION)).stderr).toContain('v9.8.7 is there already');
});

test('where an engine answers, the image of what is released is built, and says its version itself', async () => {
  await requireDocker();
  const image = `busgate:${VERSION}`;
  try {
    expect(await buildImage(VERSION, scratch)).toBe(image);
    expect((await docker('image', 'inspect', '--format', '{{index .Config.Labels "org.opencontainers.image.version"}}', image)).trim()).toBe(VERSION);
    await expect(buildImage('9.8.6', scratch)).rejects.toThrow(`the image busgate:9.8.6 says that it is ${VERSION}`);
  } finally {
    await docker('image', 'rm', '--force', image, 'busgate:9.8.6');
  }
});

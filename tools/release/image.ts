import { run } from './run.ts';

/**
 * Builds the image of the version that the checkout has, as `busgate:X.Y.Z`, and asks it for it. Resolves with its name; with none where no Docker engine answers: then there is no image yet.
 */
export async function buildImage(version: string, root: string): Promise<string | undefined> {
  const answers = await run('docker', ['version', '--format', '{{.Server.Version}}'], root).catch(() => undefined);
  if (answers === undefined) return undefined;
  const image = `busgate:${version}`;
  await run('docker', ['build', '--quiet', '--file', 'deploy/Dockerfile', '--tag', image, '.'], root);
  const said = await run('docker', ['run', '--rm', '--read-only', image, '--version'], root);
  if (said !== version) throw new Error(`the image ${image} says that it is ${said}`);
  return image;
}

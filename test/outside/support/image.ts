import { join } from 'node:path';
import { ROOT } from './commands.ts';
import { docker } from './docker.ts';

/** Builds the gateway's image as `name`. Layers that did not change come from the engine's cache. */
export async function buildImage(name: string): Promise<void> {
  await docker('build', '--quiet', '--file', join(ROOT, 'deploy/Dockerfile'), '--tag', name, ROOT);
}

/** A container of a test's own, gone with its disposal. */
export class RunningContainer implements AsyncDisposable {
  readonly id: string;

  private constructor(id: string) {
    this.id = id;
  }

  /** `args` as `docker run` takes them. */
  static async start(...args: readonly string[]): Promise<RunningContainer> {
    return new RunningContainer((await docker('run', '--detach', ...args)).trim());
  }

  /** Where a port is published on this host, as `host:port`. */
  async published(port: number): Promise<string> {
    return (await docker('port', this.id, `${port}/tcp`)).split('\n')[0] ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await docker('rm', '--force', '--volumes', this.id);
  }
}

import type { Config } from '../config.ts';

export async function serve(config: Config): Promise<number> {
  throw new Error(`not yet ${config.port}`);
}

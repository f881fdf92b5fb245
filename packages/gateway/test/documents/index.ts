import { configDocument } from './config.ts';
import { dependenciesDocument } from './dependencies.ts';
import { metricsDocument } from './metrics.ts';

const folder = new URL('../../../../docs/', import.meta.url);

/** The documents that are made from the source, by `npm run docs`. */
export const DOCUMENTS = [
  { url: new URL('config.md', folder), content: configDocument },
  { url: new URL('dependencies.md', folder), content: dependenciesDocument },
  { url: new URL('metrics.md', folder), content: metricsDocument },
] as const;

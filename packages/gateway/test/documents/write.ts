import { writeFileSync } from 'node:fs';
import { DOCUMENTS } from './index.ts';

for (const { url, content } of DOCUMENTS) writeFileSync(url, content());

import { CURSORS } from './cursors.ts';
import { FRAMES } from './frames.ts';
import type { FuzzedParser } from './parser.ts';
import { REPLIES } from './replies.ts';
import { CONFIG } from './settings.ts';
import { TARGETS } from './targets.ts';
import { WIRE } from './wire.ts';

/** Every parser of what others send. */
export const PARSERS: readonly FuzzedParser[] = [TARGETS, FRAMES, CURSORS, REPLIES, CONFIG, WIRE];

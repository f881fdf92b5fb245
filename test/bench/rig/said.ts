import type { Child } from '../../support/child.ts';

/** The first line, of all that the clients of a bench said or will say, that begins so. They are not waited for once they have ended; `others` are shown then, too. */
export async function said(load: Child, begins: string, others: readonly Child[] = []): Promise<string> {
  const line = await Promise.race([load.output.find((candidate) => candidate.startsWith(begins), `'${begins}'`), load.exited.then(() => undefined)]);
  if (line !== undefined) return line;
  const last = [...others, load].flatMap(({ lines }) => lines.all.slice(-20));
  throw new Error(`the clients ended before '${begins}':\n${last.join('\n')}`);
}

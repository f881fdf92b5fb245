/** What one run of a server measured. */
export interface Run<T> {
  readonly server: string;
  readonly figures: T;
}

/** Measures all servers in turn, so many times, each second time backwards: what changes in the machine meanwhile falls on all alike. Prints each run. */
export async function inTurn<T>(
  scenario: string,
  servers: readonly string[],
  runs: number,
  measure: (server: string) => Promise<T>,
): Promise<readonly Run<T>[]> {
  const done: Run<T>[] = [];
  for (let run = 0; run < runs; run += 1) {
    for (const server of run % 2 === 0 ? servers : servers.toReversed()) {
      const figures = await measure(server);
      done.push({ server, figures });
      console.log(`${scenario} ${server} ${run + 1}/${runs} ${JSON.stringify(figures)}`);
    }
  }
  return done;
}

/** Milliseconds of the processor that a piece of work takes on this thread. On a busy machine it waits, but takes no more. */
export async function processorMs(work: () => unknown): Promise<number> {
  const before = process.threadCpuUsage();
  await work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}

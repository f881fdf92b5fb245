import { loadConsumers } from '../../src/routes/consumer/load.ts';

/** Loads each module that is named as a process of Busgate does, and writes a line of what came of it. */
for (const module of process.argv.slice(2)) {
  const said = await loadConsumers(module).then(
    () => 'loaded',
    (error: Error) => error.message,
  );
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

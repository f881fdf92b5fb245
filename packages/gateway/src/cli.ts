import { main } from './cli/main.ts';

// `busgate --help | head -1`: a reader that has enough is no error.
process.stdout.on('error', () => process.exit());
process.exitCode = await main(process.argv.slice(2));
